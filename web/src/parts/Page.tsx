// The frame of a page of sections, and a request drawn with its waiting and its failing.
import { Spinner } from "@fluentui/react-components";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { Failure } from "../app/Failure";

export function Page({ title, tools, children }: { title: string; tools?: ReactNode; children: ReactNode }) {
  return (
    <main className="page">
      <div className="section-head">
        <h1>{title}</h1>
        <span className="grow" />
        {tools}
      </div>
      {children}
    </main>
  );
}

export function Section({ title, tools, children }: { title: string; tools?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <div className="section-head">
        <h2>{title}</h2>
        <span className="grow" />
        {tools}
      </div>
      {children}
    </section>
  );
}

export function Answered<T>({ query, children }: { query: UseQueryResult<T>; children: (data: T) => ReactNode }) {
  if (query.isPending) return <Spinner label="Asking the server" />;
  if (query.isError) return <Failure error={query.error} retry={() => void query.refetch()} />;
  return children(query.data);
}
