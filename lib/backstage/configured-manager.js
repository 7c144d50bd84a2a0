/**
 * A view of the manager that the configuration describes. The class applies valid edits of the
 * configuration to this manager, and logs and ignores invalid ones.
 */
'use strict';

const { invalid, isIncomplete } = require('./config.js');
const { fingerprints } = require('./fingerprint.js');
const { registry } = require('./registry.js');

const NONE = 'the service has no manager';

class ConfiguredManager {
  /** The view; `undefined` while the configuration lacks optional credentials. */
  view;
  #parts;
  #print = fingerprints();
  #inUse;
  #subscription;
  #lastWarning;

  /**
   * @param {object} parts
   * @param {object} parts.source from `source.js`
   * @param {import('@backstage/backend-plugin-api').RootConfigService} parts.config
   * @param {import('@backstage/backend-plugin-api').LoggerService} parts.logger
   * @param {object} [parts.inCode] options that a configuration cannot express
   * @param {boolean} [parts.isOptional]
   * @throws {KeycloakTokenError} `ERR_KEYCLOAK_CONFIG`
   */
  constructor(parts) {
    this.#parts = parts;
    const options = this.#read();
    if (options !== undefined) this.#open(options);
    this.#report();
    // A configuration may lack `subscribe`.
    this.#subscription = parts.config.subscribe?.(() => this.#follow());
  }

  close() {
    this.#subscription?.unsubscribe();
    this.#subscription = undefined;
    return this.view?.close() ?? Promise.resolve();
  }

  /** Returns the options; `undefined` if the configuration lacks optional credentials. */
  #read() {
    const { source, config, inCode, isOptional } = this.#parts;
    try {
      const options = source.read(config);
      if (options !== undefined) return { ...options, ...inCode };
      if (!isOptional) throw source.missing();
    } catch (error) {
      if (!isOptional || !isIncomplete(error)) throw error;
      if (this.view === undefined) this.#warn(error.message);
      else this.#keep(error.message);
    }
    return undefined;
  }

  /**
   * Logs the keys from which the options come, but not their values. For an incomplete section, the
   * earlier warning is enough.
   */
  #report() {
    const { source, config, logger } = this.#parts;
    if (this.view !== undefined) logger.info(`the manager uses ${source.used(config)}`);
    else if (this.#lastWarning === undefined) logger.info(`${NONE}: ${source.missing().message}`);
  }

  #warn(text) {
    if (text !== this.#lastWarning) this.#parts.logger.warn(`${NONE}: ${text}`);
    this.#lastWarning = text;
  }

  #open(options) {
    const { logger } = this.#parts;
    try {
      this.view = registry().open({ logger, ...options });
    } catch (error) {
      throw this.#atSource(error);
    }
    this.#inUse = this.#print(options);
  }

  async #follow() {
    const { source, logger } = this.#parts;
    try {
      const options = this.#read();
      if (options === undefined)
        return this.#keep(`${source.where} no longer contains credentials`);
      const print = this.#print(options);
      // Most edits concern other sections. Applying such an edit would end a cool-down.
      if (print === this.#inUse) return;
      if (this.view === undefined) this.#open(options);
      else await this.#update({ logger, ...options });
      this.#inUse = print;
    } catch (error) {
      logger.error(`the manager ignores the change: ${error.message}`);
      return;
    }
    logger.info(`the manager uses the changed ${source.where}`);
  }

  /** Keeps the view if an edit removes optional credentials, because plugins hold the view. */
  #keep(reason) {
    if (this.#inUse === undefined) return;
    this.#inUse = undefined;
    const consequence =
      'the manager uses the old credentials until an edit restores them or the backend restarts';
    this.#parts.logger.warn(`${reason}; ${consequence}`);
  }

  async #update(options) {
    try {
      await this.view.update(options);
    } catch (error) {
      throw this.#atSource(error);
    }
  }

  /** Adds the source of the options to a manager's error, which names only the option. */
  #atSource(error) {
    if (error.code !== 'ERR_KEYCLOAK_CONFIG') return error;
    return invalid(`${this.#parts.source.where}: ${error.message}`, error.cause);
  }
}

module.exports = { ConfiguredManager };
