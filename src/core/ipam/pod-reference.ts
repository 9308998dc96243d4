/** The Pod that an address was given to. */
export interface PodReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}
