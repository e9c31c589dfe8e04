// @elastic/elasticsearch: its bulk helper, and the handshake before it.

import { Client } from "@elastic/elasticsearch";
import { credential, expectRows, main, refused, run, same, url, wrong } from "./proof.mjs";

const client = (apiKey = credential) => new Client({ node: url, auth: { apiKey }, maxRetries: 0 });

await main({
  send: async () => {
    const datasource = Array.from({ length: 300 }, (_, step) => ({ Run: run, Step: step }));
    const done = await client().helpers.bulk({
      datasource,
      onDocument: () => ({ index: { _index: "clientsnodeelastic" } }),
    });
    same([done.successful, done.failed], [300, 0]);
  },
  read: () =>
    expectRows(`clientsnodeelastic_CL | where Run == '${run}' | summarize n = count(), s = sum(Step)`, [
      { n: 300, s: 44850 },
    ]),
  badInput: async () => {
    const answer = await client().bulk({ operations: [{ index: { _index: "MonetaAudit" } }, { a: 1 }] });
    same([answer.errors, answer.items[0].index.status], [true, 403]);
  },
  badCredential: () => refused(() => client(wrong).index({ index: "x", document: { a: 1 } }), "401"),
});
