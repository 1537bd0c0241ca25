import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

/** What Sluice tells a hook: CodeDeploy's two fields, and what is being released. */
interface HookEvent {
  DeploymentId: string;
  LifecycleEventHookExecutionId: string;
  event: 'BeforeAllowTraffic' | 'AfterAllowTraffic';
  functionName: string;
  alias: string;
  /** Absent on a first deployment. */
  currentVersion?: string;
  currentVersionArn?: string;
  targetVersion: string;
  targetVersionArn: string;
  environment: string;
  commit: string;
}

const lambda = new LambdaClient({});

/** Calls the version that is about to get traffic, and refuses it unless it adds up a known order. */
export async function handler(event: HookEvent) {
  const order = { items: [{ name: 'tea', price: 4, quantity: 3 }] };
  const answer = await lambda.send(
    new InvokeCommand({ FunctionName: event.targetVersionArn, Payload: JSON.stringify(order) }),
  );
  const body = Buffer.from(answer.Payload ?? []).toString();
  if (answer.FunctionError) return failed(`version ${event.targetVersion} threw ${body}`);
  const { total } = JSON.parse(body);
  if (total !== 12) return failed(`version ${event.targetVersion} says that 3 x 4 is ${total}`);
  return { status: 'Succeeded' };
}

function failed(reason: string) {
  return { status: 'Failed', reason };
}
