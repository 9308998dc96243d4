/** What became of an object that was read. */
export type Reading<T> =
  | { readonly ok: true; readonly object: T }
  /** `object` is to stand for it nevertheless. */
  | { readonly ok: false; readonly problem: string; readonly object: T };
