// azure-kusto-data: queries, commands and errors, signed in with a token.

import { Client, ClientRequestProperties, KustoConnectionStringBuilder } from "azure-kusto-data";
import { credential, expectRows, main, query, refused, run, same, url, wrong } from "./proof.mjs";

const client = (token = credential) =>
  new Client(KustoConnectionStringBuilder.withAccessToken(url, token));
const mine = `ClientsNodeKusto_CL | where Run == '${run}'`;

await main({
  send: async () => {
    const rows = Array.from({ length: 10 }, (_, step) => ({ Run: run, Step: step }));
    const answer = await fetch(`${url}/v1/ingest/ClientsNodeKusto_CL`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
      body: JSON.stringify(rows),
    });
    same((await answer.json()).accepted, 10);
  },
  read: async () => {
    const answer = await client().execute("Moneta", `${mine} | project Step | order by Step asc`);
    const steps = [...answer.primaryResults[0].rows()].map((row) => row.Step);
    same(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const properties = new ClientRequestProperties();
    properties.setParameter("least", 7);
    const text = `declare query_parameters(least: long); ${mine} | where Step >= least | count`;
    const counted = await client().execute("Moneta", text, properties);
    same([...counted.primaryResults[0].rows()][0].Count, 3);
    const tables = await client().executeMgmt("Moneta", ".show tables");
    const names = [...tables.primaryResults[0].rows()].map((row) => row.TableName);
    same(names.includes("ClientsNodeKusto_CL"), true);
  },
  badInput: async () => {
    const asked = () => client().execute("Moneta", `${mine} | where Stpe == 1`);
    await refused(asked, "400", "Semantic error", "Stpe");
  },
  badCredential: () => refused(() => client(wrong).execute("Moneta", "print 1"), "401"),
});
