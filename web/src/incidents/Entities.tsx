// The hosts, accounts and addresses of an incident, each with the way to everything else known of it.
import { Link } from "@tanstack/react-router";
import { quote } from "../api/kusto";
import { Text } from "../parts/Text";
import { entityLabel, type Incident } from "./incidents";

/** Entities that are drawn; further ones are counted. */
const ENTITIES_MAX = 100;
const DAY_MS = 86_400_000;

/** Everything with the value, a day before the incident to an hour after it. */
function around(incident: Incident): string {
  const from = new Date(Date.parse(incident.first_activity) - DAY_MS).toISOString();
  return `${from}..${new Date(Date.parse(incident.last_activity) + DAY_MS / 24).toISOString()}`;
}

export function Entities({ incident }: { incident: Incident }) {
  if (incident.entities.length === 0) return <p className="quiet">Its alerts name no host, account or address.</p>;
  const labels = incident.entities.slice(0, ENTITIES_MAX).map(entityLabel);
  return (
    <>
      <table className="plain">
        <thead><tr><th scope="col">Kind</th><th scope="col">Which</th><th scope="col">Look up</th></tr></thead>
        <tbody>
          {labels.map(({ kind, value }, index) => (
            <tr key={index}>
              <td>{kind}</td>
              <td className="wrap"><code><Text text={value} /></code></td>
              <td className="time">
                <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `search ${quote(value)}\n| order by TimeGenerated desc`, range: around(incident) }) as never}>Events</Link>{" · "}
                <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `SecurityIncident\n| summarize arg_max(_Seq, *) by IncidentNumber\n| where tostring(AdditionalData.entities) has ${quote(value)}\n| project IncidentNumber, Title, Severity, Status, CreatedTime, LastActivityTime`, range: "all" }) as never}>Incidents</Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {incident.entities.length > ENTITIES_MAX && <p className="quiet">and {incident.entities.length - ENTITIES_MAX} more</p>}
    </>
  );
}
