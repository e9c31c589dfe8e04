// What is asked of the server to tell what a column holds.
import type { ColumnType } from "../api/kusto";
import { columnName } from "./filters";

/** Types whose values have an order of their own; all others are compared as the text they are shown as. */
export function isOrdered(type: ColumnType): boolean {
  return ["int", "long", "real", "decimal", "datetime", "timespan"].includes(type);
}

/** `facts`: one row of `Rows`, `Empty`, `Distinct`, `Least`, `Greatest` and, of numbers, `Mean`; `top`: the most frequent. */
export function profileQueries(table: string, column: { name: string; type: ColumnType }): { facts: string; top: string } {
  const [source, name] = [columnName(table), columnName(column.name)];
  const isNumber = isOrdered(column.type) && column.type !== "datetime" && column.type !== "timespan";
  const bounds = isOrdered(column.type)
    ? `Empty = countif(isnull(Value)), Distinct = dcount(Value), Least = min(Value), Greatest = max(Value)${isNumber ? ", Mean = avg(Value)" : ""}`
    : "Empty = countif(isempty(Value)), Distinct = dcount(Value), Least = minif(Value, isnotempty(Value)), Greatest = max(Value)";
  const value = isOrdered(column.type) ? name : `tostring(${name})`;
  return {
    facts: `${source} | project Value = ${value} | summarize Rows = count(), ${bounds}`,
    top: `${source} | summarize Rows = count() by Value = tostring(${name}) | top 10 by Rows`,
  };
}
