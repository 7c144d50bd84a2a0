'use strict';

// `tls_client_auth`: certificates from options and from files, their replacement while connections
// are in use, and their faults.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { describe, test } = require('node:test');
const { inspect } = require('node:util');
const { KeycloakTokenManager } = require('..');
const { EXPIRED, makeCertificates } = require('../tools/certificates.js');
const { makeFolder } = require('./support/files.js');
const { delay, rejection } = require('./support/manager.js');
const { startVerifying } = require('./support/verifying-endpoint.js');

describe('tls_client_auth', () => {
  const certificates = makeCertificates();
  const client = certificates.client('agent');
  const other = certificates.client('other');

  /** Starts a server that requires the certificate of `subject`, and a manager for it. */
  function start(t, options, { subject = 'agent', tls = {} } = {}) {
    const { server, ca } = certificates;
    const secure = { ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true, ...tls };
    return startVerifying(t, { tls: secure, believes: { subject } }, { ca: ca.cert, ...options });
  }

  /** Writes separate files for one test. */
  function copies(t, { cert, key }) {
    const folder = makeFolder(t);
    const files = {
      clientCertificateFile: path.join(folder, 'tls.crt'),
      clientKeyFile: path.join(folder, 'tls.key'),
    };
    fs.writeFileSync(files.clientCertificateFile, cert);
    fs.writeFileSync(files.clientKeyFile, key);
    return files;
  }

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
    test(`a certificate authenticates the client over ${maxVersion}`, async (t) => {
      const options = { clientCertificate: client.cert, clientKey: client.key };
      const { endpoint, manager } = await start(t, options, { tls: { maxVersion } });
      assert.equal(await manager.getToken(), 'token-1');
      const [{ form, subject }] = endpoint.requests;
      assert.equal(subject, 'agent');
      assert.deepEqual(Object.keys(form), ['grant_type', 'client_id']);
    });
  }

  test('a certificate with trust settings or a compressed key authenticates the client', async (t) => {
    const openssl = (...args) => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
    const trusted = openssl('x509', '-in', client.certFile, '-trustout');
    const key = openssl('ec', '-in', client.keyFile, '-conv_form', 'compressed');
    const compressed = certificates.client('compressed', { sameKeyAs: { key } });
    assert.match(trusted, /TRUSTED/);
    for (const [subject, clientCertificate, clientKey] of [
      ['agent', trusted, client.key],
      ['compressed', compressed.cert, key],
    ]) {
      const { manager } = await start(t, { clientCertificate, clientKey }, { subject });
      assert.equal(await manager.getToken(), 'token-1', subject);
    }
  });

  test('the constructor refuses a malformed certificate after a valid one', () => {
    const malformed = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';
    const options = { clientId: 'agent', tokenEndpoint: 'https://sso.example/token' };
    const pair = { clientCertificate: client.cert + malformed, clientKey: client.key };
    assert.throws(() => new KeycloakTokenManager({ ...options, ...pair }), {
      code: 'ERR_KEYCLOAK_CONFIG',
      message: /clientCertificate: the certificate is cut off or malformed/,
    });
  });

  test('the certificate and the key may each come from a file or an option', async (t) => {
    const { clientCertificateFile, clientKeyFile } = copies(t, client);
    for (const options of [
      { clientCertificateFile, clientKeyFile },
      { clientCertificateFile, clientKey: client.key },
      { clientCertificate: client.cert, clientKeyFile },
    ]) {
      const { manager } = await start(t, options);
      assert.equal(await manager.getToken(), 'token-1');
    }
  });

  test('the next acquisition uses the new certificate after a replacement', async (t) => {
    const files = copies(t, client);
    const { endpoint, manager } = await start(t, files);
    await manager.getToken();
    await manager.getToken({ forceRefresh: true });
    assert.equal(endpoint.requests[1].socket, endpoint.requests[0].socket, 'one connection');
    fs.writeFileSync(files.clientCertificateFile, other.cert);
    fs.writeFileSync(files.clientKeyFile, other.key);
    endpoint.state.believes = { subject: 'other' };
    await manager.getToken({ forceRefresh: true });
    const subjects = endpoint.requests.map(({ subject }) => subject);
    assert.deepEqual(subjects, ['agent', 'agent', 'other']);
  });

  test('an acquisition waits while another program replaces the certificate and the key', async (t) => {
    for (const write of [
      // The key follows the certificate.
      () => {},
      // The program has truncated the key, and has not written it yet.
      ({ clientKeyFile }) => fs.writeFileSync(clientKeyFile, ''),
      ({ clientKeyFile }) => fs.writeFileSync(clientKeyFile, other.key.slice(0, 100)),
      ({ clientKeyFile }) => fs.rmSync(clientKeyFile),
    ]) {
      const files = copies(t, client);
      const { endpoint, manager } = await start(t, files);
      await manager.getToken();
      endpoint.state.believes = { subject: 'other' };
      fs.writeFileSync(files.clientCertificateFile, other.cert);
      write(files);
      const call = manager.getToken({ forceRefresh: true });
      await delay(50);
      fs.writeFileSync(files.clientKeyFile, other.key);
      await call;
      assert.equal(endpoint.requests.at(-1).subject, 'other', `${write}`);
    }
  });

  test('the manager reads the files again after a refusal, and tries once more only if they changed', async (t) => {
    const files = copies(t, client);
    const { endpoint, manager } = await start(t, files, { subject: 'other' });
    endpoint.state.answer = (n) => {
      if (n !== 1) return;
      fs.writeFileSync(files.clientCertificateFile, other.cert);
      fs.writeFileSync(files.clientKeyFile, other.key);
    };
    assert.equal(await manager.getToken(), 'token-2');
    endpoint.state.believes = { subject: 'nobody' };
    const error = await rejection(manager.getToken({ forceRefresh: true }), 'ERR_KEYCLOAK_OAUTH');
    assert.match(error.message, /the certificate is wrong/);
    assert.equal(endpoint.requests.length, 3);
    assert.equal(await manager.getToken(), 'token-2');
  });

  test('the error names an unusable file or option, and does not show its contents', async (t) => {
    const { cert, key } = certificates.client('old', { validity: EXPIRED });
    const half = (text) => text.slice(0, text.length / 2);
    const cut = copies(t, { ...client, cert: half(client.cert) });
    const none = copies(t, { ...client, cert: 'canary' });
    const missing = { clientCertificateFile: '/nowhere/tls.crt', clientKey: client.key };
    for (const [name, options, problem] of [
      ['half a certificate', cut, /tls\.crt" is not usable: .*cut off/],
      ['no certificate', none, /tls\.crt" .*no PEM certificate/],
      ['half a key', copies(t, { ...client, key: half(client.key) }), /tls\.key" .*cut off/],
      ['another key', copies(t, { ...client, key: other.key }), /tls\.key" .*does not belong to/],
      ['an expired certificate', copies(t, { cert, key }), /tls\.crt" .*has expired/],
      ['an option', { clientCertificate: cert, clientKey: key }, /clientCertificate .*has expired/],
      ['a missing file', missing, /clientCertificateFile "\/nowhere\/tls\.crt" is unreadable/],
    ]) {
      const { endpoint, manager, at } = await start(t, options);
      const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_CREDENTIAL');
      assert.match(error.message, problem, name);
      assert.equal(endpoint.requests.length, 0, name);
      assert.doesNotMatch(`${inspect(error)} ${at('warn')}`, /canary|BEGIN|MII/, name);
    }
  });

  test('if the server ends the connection, the error names the certificate as a likely cause', async (t) => {
    const { cert, key } = makeCertificates().client('agent');
    const { manager } = await start(t, { clientCertificate: cert, clientKey: key });
    const error = await rejection(manager.getToken(), 'ERR_KEYCLOAK_NETWORK');
    assert.match(error.message, /the server may have rejected the client certificate/);
  });
});
