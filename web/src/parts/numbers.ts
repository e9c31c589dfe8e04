// Numbers as people read them.

/** `12,345`, always with commas: a log viewer is no place for a locale's surprise. */
export function showCount(number: number): string {
  return number.toLocaleString("en-US", { maximumFractionDigits: 2 });
}

/** `1.2 GB` and the like, by powers of 1,000. */
export function showBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `840 ms` or `2.31 s`. */
export function showMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

export function plural(number: number, one: string, many = `${one}s`): string {
  return `${showCount(number)} ${number === 1 ? one : many}`;
}
