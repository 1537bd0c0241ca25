import {
  CreateAliasCommand,
  DeleteFunctionCommand,
  GetAliasCommand,
  GetFunctionConfigurationCommand,
  InvokeCommand,
  LambdaClient,
  ListAliasesCommand,
  ListVersionsByFunctionCommand,
  PreconditionFailedException,
  PublishVersionCommand,
  ResourceConflictException,
  ResourceNotFoundException,
  UpdateAliasCommand,
  UpdateFunctionCodeCommand,
} from '@aws-sdk/client-lambda';

/** What a hook does when it is called: returns its answer, or throws. Undefined: it answers later. */
export type Hook = (event: HookEvent) => unknown;

export interface HookEvent {
  event: string;
  functionName: string;
  targetVersion: string;
  LifecycleEventHookExecutionId: string;
}

interface FakeAlias {
  version: string;
  weights: Record<string, number>;
  description: string;
  revision: number;
}

interface FakeFunction {
  code: string;
  /** The code of each published version, the first at index 0. */
  versions: string[];
  /** Of the versions that were published with one, by number. */
  descriptions: Map<string, string>;
  deleted: Set<string>;
  aliases: Map<string, FakeAlias>;
}

/** One write of an alias, as Lambda took it. */
export interface Write {
  functionName: string;
  version: string;
  /** Version and percent of the second version, if there is one. */
  additional?: [string, number];
}

/** Lambda's functions, versions and aliases in memory, behind the SDK client's own `send`. */
export class FakeLambda {
  readonly functions = new Map<string, FakeFunction>();
  readonly hooks = new Map<string, Hook>();
  /** Called before each command; what it throws is Lambda's answer. */
  fault: (command: object) => unknown = () => {};
  onWrite: (write: Write) => unknown = () => {};

  get client(): LambdaClient {
    // The SDK's paginators ask for an instance.
    const client = Object.create(LambdaClient.prototype) as LambdaClient;
    return Object.assign(client, { send: (command: object) => this.#send(command) });
  }

  /** A function with so many versions of older code, and its alias `live` on the last; with `code`, that is its code now. */
  add(functionName: string, { version = 41, code = 'old' } = {}): void {
    const versions = Array.from({ length: version }, (_, index) =>
      index + 1 < version ? `old-${index}` : code,
    );
    const live = { version: String(version), weights: {}, description: 'the live one', revision: 1 };
    this.functions.set(functionName, {
      code,
      versions,
      descriptions: new Map(),
      deleted: new Set(),
      aliases: new Map(version ? [['live', live]] : []),
    });
  }

  alias(functionName: string): FakeAlias {
    const alias = this.functions.get(functionName)?.aliases.get('live');
    if (!alias) throw new Error(`${functionName} has no alias`);
    return alias;
  }

  /** Someone else's write: no lock, no mark. */
  moveByHand(functionName: string, version: string, weights: Record<string, number> = {}): void {
    Object.assign(this.alias(functionName), { version, weights });
    this.alias(functionName).revision++;
  }

  async #send(command: object): Promise<unknown> {
    await this.fault(command);
    if (command instanceof GetAliasCommand)
      return this.#answer(command.input.FunctionName!, command.input.Name!);
    if (command instanceof CreateAliasCommand) return this.#createAlias(command.input);
    if (command instanceof UpdateAliasCommand) return this.#updateAlias(command.input);
    if (command instanceof GetFunctionConfigurationCommand) return this.#configuration(command.input);
    if (command instanceof UpdateFunctionCodeCommand) {
      const fn = this.#function(command.input.FunctionName!);
      fn.code = command.input.S3Key!;
      return { CodeSha256: fn.code };
    }
    if (command instanceof PublishVersionCommand) {
      const fn = this.#function(command.input.FunctionName!);
      if (fn.versions.at(-1) !== fn.code) {
        fn.versions.push(fn.code);
        fn.descriptions.set(String(fn.versions.length), command.input.Description ?? '');
      }
      return { Version: String(fn.versions.length), State: 'Active' };
    }
    if (command instanceof ListVersionsByFunctionCommand) return this.#versions(command.input.FunctionName!);
    if (command instanceof ListAliasesCommand) return this.#aliases(command.input.FunctionName!);
    if (command instanceof DeleteFunctionCommand) return this.#deleteVersion(command.input);
    if (command instanceof InvokeCommand) return this.#invoke(command.input);
    throw new Error(`Lambda does not know ${command.constructor.name}.`);
  }

  #function(name: string): FakeFunction {
    const found = this.functions.get(name);
    if (!found) throw notFound(`function ${name}`);
    return found;
  }

  #answer(functionName: string, name: string) {
    const alias = this.#function(functionName).aliases.get(name);
    if (!alias) throw notFound(`alias ${name} of ${functionName}`);
    return {
      FunctionVersion: alias.version,
      RevisionId: String(alias.revision),
      Description: alias.description,
      RoutingConfig: { AdditionalVersionWeights: alias.weights },
    };
  }

  #configuration({ FunctionName: name, Qualifier: qualifier }: GetFunctionConfigurationCommand['input']) {
    const fn = this.#function(name!);
    const version = qualifier && (fn.aliases.get(qualifier)?.version ?? qualifier);
    if (version && !exists(fn, version)) throw notFound(`${qualifier} of ${name}`);
    return { CodeSha256: version ? fn.versions[Number(version) - 1] : fn.code, FunctionArn: `arn:${name}` };
  }

  #versions(functionName: string) {
    const fn = this.#function(functionName);
    const numbers = fn.versions.map((_, index) => String(index + 1)).filter((version) => exists(fn, version));
    return {
      Versions: [
        { Version: '$LATEST' },
        ...numbers.map((version) => ({ Version: version, Description: fn.descriptions.get(version) ?? '' })),
      ],
    };
  }

  #aliases(functionName: string) {
    const names = [...this.#function(functionName).aliases.keys()];
    return { Aliases: names.map((name) => ({ Name: name, ...this.#answer(functionName, name) })) };
  }

  #deleteVersion({ FunctionName: name, Qualifier: version = '' }: DeleteFunctionCommand['input']) {
    const fn = this.#function(name!);
    if (!exists(fn, version)) throw notFound(`version ${version} of ${name}`);
    if ([...fn.aliases.values()].some((alias) => alias.version === version || version in alias.weights)) {
      throw new ResourceConflictException({ message: `${version} is in use`, $metadata: {} });
    }
    fn.deleted.add(version);
    return {};
  }

  async #createAlias({
    FunctionName: functionName,
    Name: name,
    FunctionVersion: version,
  }: CreateAliasCommand['input']) {
    const alias = { version: version!, weights: {}, description: '', revision: 1 };
    this.#function(functionName!).aliases.set(name!, alias);
    await this.onWrite({ functionName: functionName!, version: version! });
    return this.#answer(functionName!, name!);
  }

  async #updateAlias(input: UpdateAliasCommand['input']) {
    const alias = this.#function(input.FunctionName!).aliases.get(input.Name!);
    if (!alias) throw notFound(`alias ${input.Name}`);
    if (this.functions.get(input.FunctionName!)?.deleted.has(input.FunctionVersion ?? ''))
      throw notFound(`version ${input.FunctionVersion} of ${input.FunctionName}`);
    if (input.RevisionId && input.RevisionId !== String(alias.revision)) {
      throw new PreconditionFailedException({
        message: 'The RevisionId provided does not match',
        $metadata: {},
      });
    }
    if ((input.Description ?? '').length > 256)
      throw new Error('ValidationException: description over 256 characters');
    const weights = input.RoutingConfig?.AdditionalVersionWeights;
    Object.assign(alias, {
      ...(input.FunctionVersion && { version: input.FunctionVersion }),
      ...(weights && { weights }),
      ...(input.Description !== undefined && { description: input.Description }),
    });
    alias.revision++;
    const [additional] = Object.entries(alias.weights);
    await this.onWrite({
      functionName: input.FunctionName!,
      version: alias.version,
      ...(additional && { additional: [additional[0], Math.round(additional[1] * 100_000) / 1000] }),
    });
    return this.#answer(input.FunctionName!, input.Name!);
  }

  async #invoke({ FunctionName: name, InvocationType: type, Payload: payload }: InvokeCommand['input']) {
    const hook = this.hooks.get(name!);
    if (!hook) throw notFound(`function ${name}`);
    if (type === 'DryRun') return {};
    try {
      const answer = await hook(JSON.parse(payload as string));
      return { Payload: Buffer.from(JSON.stringify(answer ?? null)) };
    } catch (error) {
      const thrown = JSON.stringify({ errorMessage: (error as Error).message });
      return { FunctionError: 'Unhandled', Payload: Buffer.from(thrown) };
    }
  }
}

function exists(fn: FakeFunction, version: string): boolean {
  return fn.versions[Number(version) - 1] !== undefined && !fn.deleted.has(version);
}

function notFound(what: string): ResourceNotFoundException {
  return new ResourceNotFoundException({ message: `${what} not found`, $metadata: {} });
}
