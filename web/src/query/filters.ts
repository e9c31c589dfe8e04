// A value of a result as a KQL condition.
import { quote, type Cell, type Column } from "../api/kusto";

const PLAIN_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A column's name as KQL reads it. */
export function columnName(name: string): string {
  return PLAIN_NAME.test(name) ? name : `[${quote(name)}]`;
}

/** A table by itself: the plain name of some reads other tables too, and places (`_Seq`) are of each table its own. */
export function tableOnly(name: string): string {
  return /^Device\w*Events$/.test(name) ? `table(${quote(name)})` : columnName(name);
}

/** The path to a value inside a dynamic column: `Properties.user["first name"][0]`. */
export function dynamicPath(column: string, path: readonly (string | number)[]): string {
  const step = (part: string | number) =>
    typeof part === "number" ? `[${part}]` : PLAIN_NAME.test(part) ? `.${part}` : `[${quote(part)}]`;
  return columnName(column) + path.map(step).join("");
}

/** The condition that keeps rows with this value (or, with `keep` false, the others). */
export function condition(column: Column, value: Cell, keep: boolean, path: readonly (string | number)[] = []): string {
  const name = path.length === 0 ? columnName(column.name) : dynamicPath(column.name, path);
  if (value === null) return `${keep ? "isnull" : "isnotnull"}(${name})`;
  if (path.length > 0 || column.type === "dynamic") return insideDynamic(name, value, keep);
  const operator = keep ? "==" : "!=";
  switch (column.type) {
    case "string":
      return value === "" ? `${keep ? "isempty" : "isnotempty"}(${name})` : `${name} ${operator} ${quote(String(value))}`;
    case "datetime":
      return `${name} ${operator} datetime(${String(value)})`;
    case "timespan":
      return `${name} ${operator} time(${String(value)})`;
    case "guid":
      return `${name} ${operator} guid(${String(value)})`;
    case "decimal":
      return `${name} ${operator} decimal(${String(value)})`;
    case "real":
      return realCondition(name, value, keep);
    default:
      return `${name} ${operator} ${String(value)}`;
  }
}

function realCondition(name: string, value: Cell, keep: boolean): string {
  if (value === "NaN") return `${keep ? "" : "not("}isnan(${name})${keep ? "" : ")"}`;
  const literal = value === "Infinity" ? "real(+inf)" : value === "-Infinity" ? "real(-inf)" : `real(${String(value)})`;
  return `${name} ${keep ? "==" : "!="} ${literal}`;
}

function insideDynamic(name: string, value: Cell, keep: boolean): string {
  const operator = keep ? "==" : "!=";
  if (typeof value === "object") return `tostring(${name}) ${operator} ${quote(JSON.stringify(value))}`;
  if (typeof value === "string") return `tostring(${name}) ${operator} ${quote(value)}`;
  if (typeof value === "boolean") return `tobool(${name}) ${operator} ${String(value)}`;
  return Number.isInteger(value) ? `tolong(${name}) ${operator} ${String(value)}` : `toreal(${name}) ${operator} ${String(value)}`;
}
