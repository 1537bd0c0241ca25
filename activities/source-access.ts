import { ApplicationFailure } from '@temporalio/common';

export interface SourceTokens {
  /** Of GitHub itself: https://github.com, or an Enterprise's. */
  url: string;
  /** For `owner/name`; throws GitHubRefused where there is none. */
  tokenFor: (repository: string) => Promise<string>;
}

/**
 * What git needs in its environment to fetch from a source: for GitHub's repositories a token that is good for this
 * one, for others nothing, and git's own credentials count. It is in no argument, file or message, nor in Temporal's
 * history, and a build's environment has none of it.
 */
export function sourceAccess(tokens?: SourceTokens): (source: string) => Promise<NodeJS.ProcessEnv> {
  return async (source) => {
    const repository = tokens && repositoryAt(tokens.url, source);
    if (!repository) return {};
    const token = await tokens.tokenFor(repository).catch(withoutToken);
    if (!token) return {};
    const given = Number(process.env.GIT_CONFIG_COUNT ?? 0);
    const basic = Buffer.from(`x-access-token:${token}`).toString('base64');
    return {
      GIT_CONFIG_COUNT: String(given + 1),
      [`GIT_CONFIG_KEY_${given}`]: `http.${tokens.url}/.extraHeader`,
      [`GIT_CONFIG_VALUE_${given}`]: `Authorization: Basic ${basic}`,
    };
  };
}

/** A repository without the App may be public, or git has credentials of its own. */
function withoutToken(error: unknown): undefined {
  if (error instanceof ApplicationFailure && error.type === 'GitHubRefused') return undefined;
  throw error;
}

function repositoryAt(url: string, source: string): string | undefined {
  if (!source.startsWith(`${url}/`)) return undefined;
  const path = source.slice(url.length + 1).replace(/(\.git)?\/?$/, '');
  return /^[\w.-]+\/[\w.-]+$/.test(path) ? path : undefined;
}
