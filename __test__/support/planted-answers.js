'use strict';

// Makes answers as bytes, with values planted into the parts that a server controls.

const header = (name) => (answer, value) => answer.headers.push(`${name}: ${value}`);
const member = (name) => (answer, value) => {
  answer.members[name] = value;
};
const body = (make) => (answer, value) => {
  answer.body = make(value);
};
/**
 * The parts of an answer that a server controls, each with a function that plants a value in it.
 */
const FIELDS = {
  'the reason': (answer, value) => {
    answer.reason = value;
  },
  'the status line': (answer, value) => {
    answer.start = value;
  },
  'the version': (answer, value) => {
    answer.start = `HTTP/${value} 400 Bad Request`;
  },
  'the name of a header': (answer, value) => {
    answer.headers.push(`${value.replace(/[^\w-]/g, '-')}: x`);
  },
  'a malformed header': (answer, value) => answer.headers.push(value),
  'a length': header('Content-Length'),
  'a transfer coding': header('Transfer-Encoding'),
  'a chunk': (answer, value) => {
    answer.headers.push('Transfer-Encoding: chunked');
    answer.body = `${value}\r\n`;
  },
  'the extension of a chunk': (answer, value) => {
    answer.headers.push('Transfer-Encoding: chunked');
    answer.body = `2;a="${value}"\r\n{}\r\n0\r\nX: ${value}\r\n\r\n`;
  },
  'an interim answer': (answer, value) => {
    answer.before = `HTTP/1.1 103 Early Hints\r\nLink: <${value}>\r\n\r\n`;
  },
  'Retry-After': header('Retry-After'),
  'Content-Type': header('Content-Type'),
  'Content-Encoding': header('Content-Encoding'),
  Location: header('Location'),
  'WWW-Authenticate': header('WWW-Authenticate'),
  'Set-Cookie': header('Set-Cookie'),
  Date: header('Date'),
  error: member('error'),
  error_description: member('error_description'),
  error_uri: member('error_uri'),
  token_type: member('token_type'),
  scope: member('scope'),
  expires_in: member('expires_in'),
  'a malformed access_token': (answer, value) => {
    answer.members.access_token = `${value} ${value}`;
  },
  'an unknown member': (answer, value) => {
    answer.members[value] = { [value]: [value] };
  },
  'a page': body((value) => `<html><title>${value}</title></html>`),
  text: body((value) => value),
  'a cut document': body((value) => `{"error":"x","error_description":"${value}`),
  'a body that is cut short': (answer, value) => {
    answer.headers.push('Content-Length: 100000');
    answer.body = `{"error":"${value}`;
  },
  'a deep document': body((value) => `${'{"x":'.repeat(80)}"${value}"`),
  'a member named twice': body((value) => `{"error":"${value}","error":"x"}`),
  'invalid UTF-8': body((value) => Buffer.from(`{"error":"\xff${value}"}`, 'latin1')),
};

/** Makes an answer with values planted in some of its fields. */
function makeAnswer(status, planted, token = 'opaque') {
  const answer = { status, reason: 'Reason', headers: [], members: {}, body: undefined };
  for (const [field, value] of planted) FIELDS[field](answer, value);
  if (status >= 400) answer.members.error ??= 'invalid_request';
  else answer.members.access_token ??= token;
  const content = Buffer.from(answer.body ?? JSON.stringify(answer.members));
  const framing = answer.headers.some((line) => /^(Content-Length|Transfer-Encoding):/.test(line));
  const head = [
    `${answer.before ?? ''}${answer.start ?? `HTTP/1.1 ${status} ${answer.reason}`}`,
    ...answer.headers,
    ...(framing ? [] : [`Content-Length: ${content.length}`]),
    'Connection: close',
  ];
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), content]);
}

/** Repeats the request in the parts of an answer that the manager reads. */
function echo(request) {
  const text = request.toString('latin1');
  const [head, form] = text.split('\r\n\r\n');
  return makeAnswer(401, [
    ['the reason', head.split('\r\n')[0]],
    ['error', form],
    ['error_description', `${head} ${form}`],
  ]);
}

module.exports = { echo, FIELDS, makeAnswer };
