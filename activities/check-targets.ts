import { GetCallerIdentityCommand, STSServiceException } from '@aws-sdk/client-sts';
import { ApplicationFailure } from '@temporalio/common';
import type { Target } from '../domain/definition.ts';
import { type ClientsOf, ownTarget } from './target-clients.ts';

export function createTargetActivities({ clientsOf }: { clientsOf: ClientsOf }) {
  return {
    /**
     * Assumes each target's role, before anything moves. Throws RoleNotAssumed (not retried) where STS refuses;
     * what is no answer of STS is retried.
     */
    async checkTargets({ targets }: { targets: Target[] }): Promise<void> {
      await Promise.all(targets.filter(({ roleArn }) => roleArn).map((each) => assume(clientsOf, each)));
    },
  };
}

/** Anyone may ask STS who they are: what it refuses here is the role. */
async function assume(clientsOf: ClientsOf, target: Target): Promise<void> {
  try {
    await clientsOf(target).sts.send(new GetCallerIdentityCommand({}));
  } catch (error) {
    if (!(error instanceof STSServiceException) || isPassing(error)) throw error;
    const own = await ownIdentity(clientsOf);
    throw ApplicationFailure.nonRetryable(
      `The role ${target.roleArn} of target ${target.name} cannot be assumed: ${error.message.replace(/\.$/, '')}. ` +
        `Let the worker's own identity ${own}assume it, in the role's trust policy. Nothing was moved.`,
      'RoleNotAssumed',
    );
  }
}

function isPassing({ name, $metadata }: STSServiceException): boolean {
  return name.startsWith('Throttling') || ($metadata.httpStatusCode ?? 500) >= 500;
}

/** Followed by a space; empty where it cannot be read. */
async function ownIdentity(clientsOf: ClientsOf): Promise<string> {
  try {
    const { Arn: arn } = await clientsOf(ownTarget).sts.send(new GetCallerIdentityCommand({}));
    return `${arn} `;
  } catch {
    return '';
  }
}
