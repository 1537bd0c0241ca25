import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { Agent } from 'node:http';

const requestsPerSecond = 20;

export interface TrafficCount {
  requests: number;
  failedRequests: number;
  /** Answers by the version that gave them. */
  versions: Record<string, number>;
}

/** Callers of an alias through the AWS SDK, at a steady rate; every fifth of them has a coupon. */
export class Traffic {
  readonly #lambda = new LambdaClient({ requestHandler: { httpAgent: new Agent({ keepAlive: true }) } });
  readonly #functionName: string;
  #count: TrafficCount = none();
  #callers = 0;
  #timer: NodeJS.Timeout | undefined;
  #onAnswer: () => void = () => {};
  readonly #underWay = new Set<Promise<void>>();

  constructor(functionName: string) {
    this.#functionName = functionName;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const call = this.#call(this.#callers++).finally(() => this.#underWay.delete(call));
      this.#underWay.add(call);
    }, 1000 / requestsPerSecond);
  }

  /** Resolves when so many requests have been answered since the count was last taken. */
  answered(requests: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onAnswer = () => this.#count.requests >= requests && resolve();
    });
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    this.#lambda.destroy();
  }

  /** What was answered since this was last asked. */
  async taken(): Promise<TrafficCount> {
    await Promise.all(this.#underWay);
    const count = this.#count;
    this.#count = none();
    return count;
  }

  async #call(caller: number): Promise<void> {
    const order = {
      items: [{ name: 'tea', price: 4, quantity: 3 }],
      ...(caller % 5 === 0 && { coupon: 'AUTUMN' }),
    };
    const command = new InvokeCommand({
      FunctionName: this.#functionName,
      Qualifier: 'live',
      Payload: JSON.stringify(order),
    });
    try {
      const { FunctionError: error, ExecutedVersion: version = 'unknown' } = await this.#lambda.send(command);
      this.#count.versions[version] = (this.#count.versions[version] ?? 0) + 1;
      if (error) this.#count.failedRequests++;
    } catch {
      this.#count.failedRequests++;
    }
    this.#count.requests++;
    this.#onAnswer();
  }
}

function none(): TrafficCount {
  return { requests: 0, failedRequests: 0, versions: {} };
}
