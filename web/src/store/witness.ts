// What a witness says.

/** Whether it says that the log was cut or forked: what witnesses are there to find. */
export function isAlarming(state: string): boolean {
  return state === "rolled-back" || state === "split-view";
}
