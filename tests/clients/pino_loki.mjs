// pino-loki: a Node program's log to Loki's push interface, in batches.

import pino from "pino";
import { pinoLoki } from "pino-loki";
import { credential, expectRows, main, run, url, wrong } from "./proof.mjs";

const LINES = 50;

/** Logs lines and waits until all were handed over; what went wrong, as the transport tells it on standard error. */
async function log(lines, token, labels) {
  const told = [];
  const error = console.error;
  console.error = (...words) => told.push(words.map(String).join(" "));
  const stream = pinoLoki({
    host: url,
    basicAuth: { username: "moneta", password: token },
    labels,
    batching: { interval: 1 },
    silenceErrors: false,
  });
  const logger = pino({ level: "info" }, stream);
  for (const line of lines) logger.info({ step: line }, `step ${line}`);
  await new Promise((resolve) => {
    stream.on("close", resolve);
    stream.end();
  });
  console.error = error;
  return told.join("\n");
}

const numbers = Array.from({ length: LINES }, (_, number) => number);
const mine = `Loki_CL | where Labels.run == '${run}' and Labels.app == 'pino'`;

await main({
  send: async () => {
    const told = await log(numbers, credential, { app: "pino", run });
    if (told !== "") throw new Error(told);
    await expectRows(`${mine} | count`, [{ Count: LINES }]);
  },
  read: () => expectRows(`${mine} | summarize n = count(), d = dcount(Line, 4)`, [{ n: LINES, d: LINES }]),
  badCredential: async () => {
    const told = await log([1], wrong, { app: "never", run });
    if (!told.includes("credential")) throw new Error(`not told of the refusal: ${told}`);
    await expectRows(`Loki_CL | where Labels.run == '${run}' and Labels.app == 'never' | count`, [{ Count: 0 }]);
  },
});
