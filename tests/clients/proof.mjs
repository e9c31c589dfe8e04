// What the proofs of Node's clients share; see proof.py.

export const url = process.env.MONETA_URL;
export const secureUrl = process.env.MONETA_SECURE_URL;
export const credential = process.env.MONETA_CREDENTIAL;
export const run = process.env.MONETA_RUN;
export const [credentialId, secret] = credential.replace(/^mnt_/, "").split("_");
export const wrong = `mnt_${credentialId}_${"0".repeat(64)}`;

const WAIT_MS = 30_000;

/** Rows of a KQL query as objects, asked without any client. */
export async function query(csl) {
  const answer = await fetch(`${url}/v1/rest/query`, {
    method: "POST",
    headers: { authorization: `Bearer ${credential}`, "content-type": "application/json" },
    body: JSON.stringify({ db: "Moneta", csl }),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  const [table] = (await answer.json()).Tables;
  return table.Rows.map((row) => Object.fromEntries(table.Columns.map((column, i) => [column.ColumnName, row[i]])));
}

export function same(found, expected, what = "") {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what} ${a}, not ${b}`);
}

/** Asserts that a query answers with exactly these rows, waiting a little for what is sent in the background. */
export async function expectRows(csl, expected) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    try {
      return same(await query(csl), expected, csl);
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Asserts that a call fails, and that its error says these words. */
export async function refused(call, ...words) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const causes = (error.errors ?? []).map((inner) => inner.cause ?? inner);
    const texts = [error, ...causes].map((cause) => `${cause.name}: ${cause.message} ${JSON.stringify(cause)} ${JSON.stringify(cause.response?.data)}`);
    const text = texts.join(" ");
    const missing = words.filter((word) => !text.toLowerCase().includes(word.toLowerCase()));
    if (missing.length > 0) throw new Error(`${missing} not in ${text}`);
    return;
  }
  throw new Error(`was not refused: ${JSON.stringify(answer)}`);
}

export async function main(steps) {
  const names = { before: ["send"], after: ["read", "badInput", "badCredential"] }[process.argv[2]];
  for (const name of names.filter((name) => steps[name])) {
    try {
      await steps[name]();
    } catch (error) {
      console.log(`${name}: ${error.stack}`);
      process.exit(1);
    }
  }
  process.exit(0);
}
