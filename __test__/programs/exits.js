'use strict';

// Arguments: token endpoint, name of the way to end. Only the manager can keep this program alive.

const { open, tell, told } = require('./program.js');

/** Aborts a call when the test calls `goOn()`. */
async function leave(manager) {
  const leaving = new AbortController();
  const call = manager.getToken({ signal: leaving.signal });
  await told();
  leaving.abort(new Error('left'));
  await call.catch((error) => tell(error.message));
}

const ways = {
  async token() {
    await open().getToken();
    tell('token');
  },
  async 'token and close'() {
    const closing = open();
    await closing.getToken();
    await closing.close();
    tell('closed');
  },
  async failure() {
    await open()
      .getToken()
      .catch((error) => tell(error.code));
  },
  async exit() {
    open().getToken();
    await told();
    tell('exit');
    process.exit(7);
  },
  abandoned: () => leave(open()),
  async 'abandoned by one'() {
    const manager = open();
    const left = leave(manager);
    const other = manager.getToken();
    await left;
    await other;
    tell('token');
  },
  async refresh() {
    const manager = open();
    await manager.getToken();
    await manager.getToken();
    await told();
    tell('refreshing');
  },
  async 'secret function'() {
    // The function's timer does not keep the program alive.
    const clientSecret = () =>
      new Promise((resolve) => setTimeout(resolve, 300, 'test-secret').unref());
    await open({ clientSecret }).getToken();
    tell('token');
  },
};

ways[process.argv[3]]();
