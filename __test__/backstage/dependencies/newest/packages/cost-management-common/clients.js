// The clients of the cost-management API that the backend plugin uses: GET requests with the token
// that the plugin passes.

class Client {
  #discoveryApi;

  constructor({ discoveryApi }) {
    this.#discoveryApi = discoveryApi;
  }

  async get(path, { token }) {
    const url = `${await this.#discoveryApi.getBaseUrl('cost-management')}${path}`;
    return fetch(url, { headers: { authorization: `Bearer ${token}` } });
  }
}

class OptimizationsClient extends Client {
  getRecommendationList(_request, options) {
    return this.get('/cost-management/v1/recommendations/openshift', options);
  }
}

class CostManagementSlimClient extends Client {
  searchOpenShiftClusters(_search, options) {
    return this.get('/cost-management/v1/resource-types/openshift-clusters/', options);
  }

  searchOpenShiftProjects(_search, options) {
    return this.get('/cost-management/v1/resource-types/openshift-projects/', options);
  }
}

module.exports = { CostManagementSlimClient, OptimizationsClient };
