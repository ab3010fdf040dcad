/** The accounts file `user_to_passwd.json`: its forms, read by the API and written by `npm run user`. */

/** `submitter`: own jobs and files; `viewer`: reads all, changes nothing; `admin`: all. */
export type Role = 'admin' | 'viewer' | 'submitter';
