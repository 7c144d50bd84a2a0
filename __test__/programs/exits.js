'use strict';

// Arguments: token endpoint, which way to end. Nothing but the manager could hold this program.

const { open, tell, told } = require('./program.js');

const ways = {
  async 'after a token'() {
    await open().getToken();
    tell('a token is there');
  },

  async 'after a token and a close'() {
    const closing = open();
    await closing.getToken();
    await closing.close();
    tell('closed');
  },

  async 'process.exit in flight'() {
    open().getToken();
    await told();
    tell('about to exit');
    process.exit(7);
  },

  async 'abandoned flight'() {
    const leaving = new AbortController();
    const call = open().getToken({ signal: leaving.signal });
    await told();
    leaving.abort(new Error('left'));
    await call.catch((error) => tell(error.message));
  },

  async 'abandoned by one of two'() {
    const leaving = new AbortController();
    const one = open();
    const call = one.getToken({ signal: leaving.signal });
    const other = one.getToken();
    await told();
    leaving.abort(new Error('left'));
    await call.catch((error) => tell(error.message));
    await other;
    tell('the other has a token');
  },

  async 'background refresh in flight'() {
    const one = open();
    await one.getToken();
    await one.getToken();
    await told();
    tell('refreshing');
  },

  async 'waiting caller'() {
    await open().getToken();
    tell('a token is there');
  },

  async 'waiting caller of a failing flight'() {
    await open()
      .getToken()
      .catch((error) => tell(error.code));
  },

  async 'secret function under way'() {
    // Its timer is not what holds the program.
    const clientSecret = () =>
      new Promise((resolve) => setTimeout(resolve, 300, 'test-secret').unref());
    await open({ clientSecret }).getToken();
    tell('a token is there');
  },
};

ways[process.argv[3]]();
