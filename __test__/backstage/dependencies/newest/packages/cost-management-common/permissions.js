// The permissions that the backend plugin registers and checks.

const { createPermission } = require('@backstage/plugin-permission-common');

const read = (name) => createPermission({ name, attributes: { action: 'read' } });
const forCluster = (kind) => (cluster) => read(`${kind}.${cluster}`);
const forProject = (kind) => (cluster, project) => read(`${kind}.${cluster}.${project}`);

module.exports = {
  costClusterProjectPermission: forProject('cost'),
  costClusterSpecificPermission: forCluster('cost'),
  costPluginPermissions: [read('cost.plugin')],
  rosApplyPermissions: [read('ros.apply')],
  rosClusterProjectPermission: forProject('ros'),
  rosClusterSpecificPermission: forCluster('ros'),
  rosPluginPermissions: [read('ros.plugin')],
};
