// Names and values of an event, as they were recorded.
import { Text } from "./Text";

export function Fields({ fields }: { fields: [string, string][] }) {
  return (
    <dl className="facts mono">
      {fields.map(([name, value], index) => (
        <div key={index} className="facts-line">
          <dt><Text text={name} /></dt>
          <dd><Text text={value} /></dd>
        </div>
      ))}
    </dl>
  );
}
