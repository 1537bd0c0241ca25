import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { deliver, pushPayload, refUpdates } from '../local/github-push.ts';
import { secretFile } from '../local/push-repository.ts';
import { who } from './ask.ts';
import { CliError, print } from './print.ts';

/** `pipeline local deliver`: the post-receive hook of the local cloud's repository, which git runs in there. */
export async function deliverPush(url: string, repository: string): Promise<void> {
  const secret = await readFile(secretFile, 'utf8');
  for (const update of refUpdates(await text(process.stdin))) {
    const payload = await pushPayload(update, repository, who());
    const { answer } = await deliver(url, secret, payload).catch(({ message, cause }: Error) => {
      const why = cause instanceof Error ? cause.message : message;
      throw new CliError(
        `The commit is here, but no run was started: the server at ${url} does not answer (${why}). Is \`pipeline local up\` running? Then push again, or: pipeline start`,
        1,
      );
    });
    const { push, ignored, error } = answer;
    print(
      push
        ? `${update.ref}: its runs begin; pipeline list shows them`
        : `${update.ref}: ${String(ignored ?? error)}`,
    );
  }
}
