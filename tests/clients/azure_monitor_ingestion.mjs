// @azure/monitor-ingestion: rows for the stream of a data collection rule, signed in by @azure/identity over TLS.

import { ClientSecretCredential } from "@azure/identity";
import { LogsIngestionClient } from "@azure/monitor-ingestion";
import { credentialId, expectRows, main, refused, run, secret, secureUrl } from "./proof.mjs";

const client = (password = secret) => {
  const signIn = new ClientSecretCredential("moneta", credentialId, password, {
    authorityHost: secureUrl,
    disableInstanceDiscovery: true,
  });
  return new LogsIngestionClient(secureUrl, signIn, { retryOptions: { maxRetries: 1 } });
};

await main({
  send: () =>
    client().upload(
      "dcr-moneta",
      "Custom-ClientsNodeIngestion_CL",
      Array.from({ length: 100 }, (_, step) => ({ Run: run, Step: step })),
    ),
  read: () =>
    expectRows(`ClientsNodeIngestion_CL | where Run == '${run}' | summarize n = count(), s = sum(Step)`, [
      { n: 100, s: 4950 },
    ]),
  badInput: () =>
    refused(() => client().upload("dcr-moneta", "Custom-MonetaAudit", [{ Run: run }]), "only Moneta itself writes"),
  badCredential: () => refused(() => client("0".repeat(64)).upload("d", "Custom-X_CL", [{ Run: run }]), "client_secret"),
});
