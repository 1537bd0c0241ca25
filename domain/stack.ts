/** A change that CloudFormation would make, as a change set lists it. */
export interface StackChange {
  action: string;
  logicalId: string;
  resourceType: string;
}

/**
 * Why a change set may not be executed: Sluice owns aliases and versions, so CloudFormation may add them with a
 * new function and remove them with an old one, and never modify or replace one (DESIGN rule 5).
 */
export function refusal(changes: StackChange[]): string | undefined {
  const removed = new Set(
    changes.filter((change) => change.action === 'Remove').map((change) => change.logicalId),
  );
  const touched = changes.filter(
    ({ action, logicalId, resourceType }) =>
      /^AWS::Lambda::(Alias|Version)$/.test(resourceType) &&
      action !== 'Add' &&
      !(action === 'Remove' && [...removed].some((id) => id !== logicalId && logicalId.startsWith(id))),
  );
  if (touched.length === 0) return undefined;
  return (
    `The stack's change set would ${touched.map((c) => `${c.action.toLowerCase()} ${c.logicalId}`).join(', ')}: ` +
    `that moves traffic at once, without a rollout. It was not executed. An alias's name or its Description, or a property ` +
    `of the version, was changed in the template: undo that, or make that change on its own with sam deploy.`
  );
}

/** The functions whose alias this change set makes: they have no earlier version. */
export function createdFunctions(changes: StackChange[], functions: string[]): string[] {
  const added = new Set(
    changes
      .filter((c) => c.action === 'Add' && c.resourceType === 'AWS::Lambda::Alias')
      .map((c) => c.logicalId),
  );
  return functions.filter((id) => [...added].some((alias) => alias.startsWith(`${id}Alias`)));
}
