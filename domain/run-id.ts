/** What a run's name in Temporal is made of, and what is written beside it. */
export interface NamedRun {
  application: string;
  /** A full hash. */
  commit: string;
  startedBy: string;
}

/** The name that `pipeline.yaml` gives, or else the folder's, as a workflow id can hold it. */
export function applicationOf(declared: string | undefined, folderName: string): string {
  return (declared || folderName).replaceAll(/[^A-Za-z0-9-]/g, '-').slice(0, 100);
}

/** The workflow id of a commit's first run, or of its later ones, which are numbered from 2. */
export function runId({ application, commit }: NamedRun, attempt = 1): string {
  const first = `${application}-${commit.slice(0, 7)}`;
  return attempt === 1 ? first : `${first}-${attempt}`;
}

export function runMemo({ application, commit, startedBy }: NamedRun) {
  return { application, commit, startedBy };
}
