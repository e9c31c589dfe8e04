// Adding rule files as they are: those that load run at once, and what is wrong with the others stands at its line.
import { Button, Field } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type ChangeEvent } from "react";
import { send } from "../api/client";
import type { RuleSetReport } from "../api/types";
import { Failure } from "../app/Failure";
import { scrollTo } from "../parts/scroll";
import { RuleReport, type RuleFile } from "./RuleReport";

/** Files of one upload; the server's own limit of bytes is lower mostly. */
const FILES_MAX = 5_000;

export function AddRules({ close }: { close(): void }) {
  const client = useQueryClient();
  const [files, setFiles] = useState<RuleFile[]>([]);
  const [sent, setSent] = useState<{ files: RuleFile[]; report: RuleSetReport }>();
  const [error, setError] = useState<unknown>();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const chosen = [...(event.target.files ?? [])].slice(0, FILES_MAX);
    setFiles(await Promise.all(chosen.map(async (file) => ({ name: file.name, text: await file.text() }))));
  };
  const add = async () => {
    setError(undefined);
    setSent(undefined);
    try {
      setSent({ files, report: await send<RuleSetReport>("POST", "/v1/rules", { body: { files } }) });
      await client.invalidateQueries({ queryKey: ["rules"] });
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <div ref={place} className="panel" role="region" aria-label="Add rules">
      <div className="section-head">
        <h2>Add rules</h2>
        <span className="grow" />
        <Button size="small" onClick={close}>Close</Button>
      </div>
      <p className="quiet">Sigma rules and Sentinel’s analytics rules as YAML. A rule of the same id is replaced. What cannot be loaded is named with the reason, and the others load.</p>
      <Field label="Files">
        <input type="file" aria-label="Files of rules" multiple accept=".yml,.yaml" onChange={(event) => void choose(event)} />
      </Field>
      <p>
        <Button appearance="primary" disabled={files.length === 0} onClick={() => void add()}>Add</Button>
      </p>
      {error !== undefined && <Failure error={error} title="No rule was added" />}
      {sent && <RuleReport {...sent} />}
    </div>
  );
}
