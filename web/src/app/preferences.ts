// What a person likes in this browser: it is no state of a page, so it stands beside the address, not in it.

const PREFIX = "moneta.";

/** Reads a preference; anything unreadable is the default. */
export function readPreference<T>(name: string, otherwise: T): T {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

/** Keeps a preference; a browser that keeps nothing is no error. */
export function writePreference(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Private windows and full disks: the page works, the preference ends with it.
  }
}
