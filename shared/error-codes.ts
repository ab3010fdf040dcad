/**
 * Every error that an answer of the API can carry: its code stands in the header `fasttask-error`, its status is that of the answer. Clients
 * switch on the code; the text of `detail` may change. The OpenAPI document and deploy/README.md list them from here.
 */
export const errorCodes = {
  target_invalid: { status: 400, meaning: 'The target of the request is no URL.' },
  body_unreadable: { status: 400, meaning: 'The body is not UTF-8, is cut off, or is nested deeper than JSON_MAX_DEPTH.' },
  multipart_invalid: { status: 400, meaning: 'The multipart body of an upload cannot be parsed.' },
  file_name_refused: { status: 400, meaning: 'The name of a file leads elsewhere, or is none.' },
  unauthorized: { status: 401, meaning: 'Credentials are missing, wrong or expired.' },
  forbidden: { status: 403, meaning: 'The role of the account does not allow this.' },
  cross_site: { status: 403, meaning: 'A page of another site sent this; API_CORS_ORIGINS names the origins that may.' },
  system_folder: { status: 403, meaning: 'The system folder is not served.' },
  not_found: { status: 404, meaning: 'There is no such path, task, job or file, or the caller may not see it.' },
  method_not_allowed: { status: 405, meaning: 'The path knows other methods; `allow` names them.' },
  body_slow: { status: 408, meaning: 'The body did not arrive in time.' },
  precondition_failed: { status: 412, meaning: 'The file is not the one that `if-match` or `if-unmodified-since` names.' },
  body_too_large: {
    status: 413,
    meaning: 'The body is longer than BODY_MAX_BYTES or UPLOAD_MAX_BYTES, or has too many or too long parts or members.',
  },
  encoding_unsupported: { status: 415, meaning: 'Compressed bodies are not read.' },
  range_not_satisfiable: { status: 416, meaning: 'The file does not have the range that was asked for.' },
  validation_failed: { status: 422, meaning: 'The request does not fit its schema; `detail` has one item for every problem.' },
  rate_limited: { status: 429, meaning: 'More requests than API_RATE_LIMIT; `retry-after` says when to come again.' },
  sign_ins_slowed: { status: 429, meaning: 'Too many wrong credentials; `retry-after` says when to come again.' },
  sign_ins_busy: { status: 429, meaning: 'Too many sign-ins at the same moment; try again after `retry-after`.' },
  queue_full: { status: 429, meaning: 'As many jobs of the task wait as its maxWaiting allows; try again after `retry-after`.' },
  internal: { status: 500, meaning: 'A fault of the server; its log has the `request_id`.' },
  accounts_broken: { status: 503, meaning: 'The accounts file cannot be read; nobody is let in.' },
  accounts_missing: { status: 503, meaning: 'There are no accounts, and anonymous access is not allowed beyond loopback.' },
  not_ready: { status: 503, meaning: 'This process cannot serve jobs yet, or is about to end.' },
  too_many_waiting: { status: 503, meaning: 'As many clients wait for jobs as this process holds; try again after `retry-after`.' },
  redis_unavailable: { status: 503, meaning: 'Redis does not answer, or is full; try again after `retry-after`.' },
  disk_full: { status: 507, meaning: 'There is no room for the file.' },
} as const;

export type ErrorCode = keyof typeof errorCodes;
