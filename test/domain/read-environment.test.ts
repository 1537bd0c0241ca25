import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EnvironmentDefinition } from '../../domain/definition.ts';
import { noticeEvents } from '../../domain/notice.ts';
import { readDefinition } from '../../domain/read-definition.ts';

const template = `Transform: AWS::Serverless-2016-10-31
Parameters:
  Table: { Type: String }
Resources:
  Checkout:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs22.x, Handler: app.handler, CodeUri: ., AutoPublishAlias: live }
  SmokeTest:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs22.x, Handler: smoke.handler, CodeUri: . }
  Orders:
    Type: AWS::DynamoDB::Table
`;
const role = (account: number, name = 'deploy') =>
  `arn:aws:iam::${String(account).padStart(12, '0')}:role/${name}`;

function read(pipelineText: string) {
  return readDefinition({
    templateText: template,
    pipelineText,
    application: 'shop',
    check: (path) => (path.endsWith('.ts') ? 'missing' : 'ok'),
  });
}

function environmentsOf(pipelineText: string): EnvironmentDefinition[] {
  const { definition, problems } = read(`parameters: {Table: orders}\n${pipelineText}`);
  expect(problems).toEqual([]);
  return definition!.environments;
}

const wavesOf = (pipelineText: string, index = 0) => environmentsOf(pipelineText)[index]?.waves;
const only = (pipelineText: string) => environmentsOf(pipelineText)[0]!;

describe('where an environment deploys', () => {
  it.each<[string, string, object[][]]>([
    ['the worker, where nothing is said', '', [[{ name: 'default' }]]],
    ['a region', 'region: eu-west-1', [[{ name: 'eu-west-1', region: 'eu-west-1' }]]],
    [
      'an account',
      `roleArn: ${role(1)}\nexternalId: shop-7`,
      [[{ name: 'default', roleArn: role(1), externalId: 'shop-7' }]],
    ],
    [
      'targets, one after the other',
      `targets: [{region: eu-west-1}, {region: us-gov-east-1}]`,
      [[{ name: 'eu-west-1', region: 'eu-west-1' }], [{ name: 'us-gov-east-1', region: 'us-gov-east-1' }]],
    ],
    [
      'targets that say what is different',
      `region: eu-west-1
roleArn: ${role(1)}
externalId: a1
targets:
  - {parameters: {Table: '007'}}
  - {name: other-account, roleArn: '${role(2)}', externalId: b2}
  - {region: us-east-1, parameters: {Table: 012}}`,
      [
        [
          {
            name: 'eu-west-1',
            region: 'eu-west-1',
            roleArn: role(1),
            externalId: 'a1',
            parameters: { Table: '007' },
          },
        ],
        [{ name: 'other-account', region: 'eu-west-1', roleArn: role(2), externalId: 'b2' }],
        [
          {
            name: 'us-east-1',
            region: 'us-east-1',
            roleArn: role(1),
            externalId: 'a1',
            parameters: { Table: '012' },
          },
        ],
      ],
    ],
    [
      'targets in waves',
      `targets: [{region: us-east-1}, {region: eu-west-1}, {name: blue_2, region: us-east-2}]
waves: [[eu-west-1], [blue_2, us-east-1]]`,
      [
        [{ name: 'eu-west-1', region: 'eu-west-1' }],
        [
          { name: 'blue_2', region: 'us-east-2' },
          { name: 'us-east-1', region: 'us-east-1' },
        ],
      ],
    ],
    [
      'regions in waves',
      `roleArn: ${role(1)}\nwaves: [[eu-west-1], [us-east-1, us-west-2]]`,
      [
        [{ name: 'eu-west-1', region: 'eu-west-1', roleArn: role(1) }],
        [
          { name: 'us-east-1', region: 'us-east-1', roleArn: role(1) },
          { name: 'us-west-2', region: 'us-west-2', roleArn: role(1) },
        ],
      ],
    ],
  ])('%s', (_name, text, waves) => {
    expect(wavesOf(text)).toEqual(waves);
    const nested = `environments:\n  production:\n    stack: shop\n${text.replaceAll(/^/gm, '    ')}\n`;
    expect(wavesOf(nested)).toEqual(waves);
  });

  it('is its own region, though waves of regions are common', () => {
    const text = `waves: [[eu-west-1], [us-east-1]]
environments:
  staging: {stack: shop-staging, region: eu-west-1}
  production: {}
`;
    expect(wavesOf(text, 0)).toEqual([[{ name: 'eu-west-1', region: 'eu-west-1' }]]);
    expect(wavesOf(text, 1)).toHaveLength(2);
  });

  it('is its own waves, though a region is common', () => {
    const text = `region: eu-west-1
environments:
  staging: {stack: shop-staging}
  production: {waves: [[us-east-1], [us-west-2]]}
`;
    expect(wavesOf(text, 0)).toEqual([[{ name: 'eu-west-1', region: 'eu-west-1' }]]);
    expect(wavesOf(text, 1)).toEqual([
      [{ name: 'us-east-1', region: 'us-east-1' }],
      [{ name: 'us-west-2', region: 'us-west-2' }],
    ]);
  });

  it('may be the same stack in another account or region', () => {
    const [staging, production] = environmentsOf(`environments:
  staging: {roleArn: '${role(1)}', waves: [[eu-west-1], [us-east-1]]}
  production: {roleArn: '${role(2)}', waves: [[eu-west-1], [us-east-1]]}
`);
    expect(staging?.stack).toBe('shop');
    expect(production?.stack).toBe('shop');
  });

  it('needs each parameter of the template in the environment or in every target', () => {
    const target = 'targets: [{region: eu-west-1, parameters: {Table: a}}, {region: us-east-1}]';
    expect(read(target).problems).toMatchObject([
      { severity: 'warning', line: 3, message: expect.stringContaining('Parameter Table has no Default') },
    ]);
    expect(read(target.replace('us-east-1}', 'us-east-1, parameters: {Table: b}}')).problems).toEqual([]);
    expect(read(`parameters: {Table: c}\n${target}`).problems).toEqual([]);
  });
});

describe('the gate', () => {
  const week = 7 * 86_400;
  it.each<[string, object | undefined]>([
    ['required', { count: 1, expiresSeconds: week }],
    ['none', undefined],
    ['[ann, bob]', { by: ['ann', 'bob'], count: 1, expiresSeconds: week }],
    ['{by: [ann, bob], count: 2, expires: 3d}', { by: ['ann', 'bob'], count: 2, expiresSeconds: 3 * 86_400 }],
    ['{by: ann}', { by: ['ann'], count: 1, expiresSeconds: week }],
    ['{count: 3, expires: 14d}', { count: 3, expiresSeconds: 2 * week }],
    ['{}', { count: 1, expiresSeconds: week }],
  ])('is %s', (written, approval) => {
    expect(only(`approval: ${written}`).approval).toEqual(approval);
  });

  it('that is common can be left out in one', () => {
    const environments = environmentsOf(`approval: required
environments: {staging: {stack: shop-staging, approval: none}, production: {}}`);
    expect(environments.map(({ approval }) => approval?.count)).toEqual([undefined, 1]);
  });
});

describe('checks', () => {
  it('are each one of three kinds, and have a name', () => {
    const { checks } = only(`checks:
  - {lambda: SmokeTest, timeout: 10m, retries: 2}
  - {lambda: 'arn:aws:lambda:eu-west-1:123456789012:function:probe:live'}
  - {command: npm run smoke, name: smoke}
  - command: |
      npm ci
      npm run e2e
  - {webhook: 'https://checks.example.com:8443/sluice?for=shop'}
  - {webhook: 'http://checks.example.com:8443/other', timeout: 1d}
`);
    expect(checks).toEqual([
      {
        name: 'SmokeTest',
        kind: 'lambda',
        function: { logicalId: 'SmokeTest' },
        timeoutSeconds: 600,
        retries: 2,
      },
      {
        name: 'probe',
        kind: 'lambda',
        function: { name: 'arn:aws:lambda:eu-west-1:123456789012:function:probe:live' },
        timeoutSeconds: 3600,
        retries: 0,
      },
      { name: 'smoke', kind: 'command', command: 'npm run smoke', timeoutSeconds: 3600, retries: 0 },
      {
        name: 'npm ci npm run e2e',
        kind: 'command',
        command: 'npm ci\nnpm run e2e',
        timeoutSeconds: 3600,
        retries: 0,
      },
      {
        name: 'checks.example.com:8443',
        kind: 'webhook',
        url: 'https://checks.example.com:8443/sluice?for=shop',
        timeoutSeconds: 3600,
        retries: 0,
      },
      {
        name: 'checks.example.com:8443 2',
        kind: 'webhook',
        url: 'http://checks.example.com:8443/other',
        timeoutSeconds: 86_400,
        retries: 0,
      },
    ]);
  });

  it('named by the user keep that name beside others that would have it', () => {
    const { checks } = only('checks: [{command: smoke}, {command: other, name: smoke}]');
    expect(checks.map(({ name }) => name)).toEqual(['smoke 2', 'smoke']);
  });

  it('that nearly name a function of the template are warned of', () => {
    expect(read('parameters: {Table: a}\nchecks:\n  - lambda: SmokTest').problems).toEqual([
      {
        severity: 'warning',
        file: 'pipeline.yaml',
        line: 3,
        message:
          'SmokTest is not in the template, so it is taken for the name of a check in AWS. Did you mean "SmokeTest"?',
      },
    ]);
  });
});

describe('the other settings', () => {
  it('of an environment go before the common ones; variables are put together', () => {
    const [staging, production] = environmentsOf(`variables: {LEVEL: 012, DEBUG: true, _x: a}
concurrency: queued
freeze: {cron: 0 16 * * FRI, duration: 64h, timezone: Europe/Berlin, why: weekend}
keep: 20
checks: [{command: make smoke}]
environments:
  staging:
    stack: shop-staging
    variables: {DEBUG: no, URL: 'https://example.com'}
    concurrency: cancel
    freeze: []
    keep: 1
    checks: []
  production: {}
`);
    expect(staging).toMatchObject({
      variables: { LEVEL: '012', DEBUG: 'no', _x: 'a', URL: 'https://example.com' },
      concurrency: 'cancel',
      freezeWindows: [],
      keepReleases: 1,
      checks: [],
    });
    expect(production).toMatchObject({
      variables: { LEVEL: '012', DEBUG: 'true', _x: 'a' },
      concurrency: 'queued',
      freezeWindows: [
        { cron: '0 16 * * FRI', durationSeconds: 64 * 3600, timezone: 'Europe/Berlin', why: 'weekend' },
      ],
      keepReleases: 20,
      checks: [{ name: 'make smoke' }],
    });
  });

  it('may come by a merge key', () => {
    const [one, two] = environmentsOf(`environments:
  one: &one
    stack: one
    variables: {LEVEL: 012}
    approval: [ann]
  two:
    <<: *one
    stack: two
    variables: {<<: {LEVEL: high}, DEBUG: 1.10}
`);
    expect(one?.variables).toEqual({ LEVEL: '012' });
    expect(two?.variables).toEqual({ LEVEL: 'high', DEBUG: '1.10' });
    expect(two?.approval?.by).toEqual(['ann']);
  });

  it('take a time zone of UTC and no reason', () => {
    expect(only('freeze: [{cron: 0 0 24 12 *, duration: 9d}]').freezeWindows).toEqual([
      { cron: '0 0 24 12 *', durationSeconds: 9 * 86_400, timezone: 'UTC' },
    ]);
  });
});

describe('notifications', () => {
  const all = [...noticeEvents];
  it.each<[string, object[] | undefined]>([
    ['', undefined],
    ['notify: []', undefined],
    ['notify: [{webhook: https://a.example/x}]', [{ webhook: 'https://a.example/x', events: all }]],
    ['notify: [{slack: SLUICE_SLACK_OPS}]', [{ slack: 'SLUICE_SLACK_OPS', events: all }]],
    [
      'notify: [{slack: SLUICE_SLACK_2, events: [failed]}, {webhook: http://a.example, events: [rollback, started]}]',
      [
        { slack: 'SLUICE_SLACK_2', events: ['failed'] },
        { webhook: 'http://a.example', events: ['rollback', 'started'] },
      ],
    ],
  ])('%s', (text, notify) => {
    expect(only(text).notify).toEqual(notify);
  });

  it('of an environment go before the common ones', () => {
    const [staging, production] = environmentsOf(`notify: [{slack: SLUICE_SLACK_OPS}]
environments:
  staging: {stack: shop-staging, notify: []}
  production: {}
`);
    expect(staging).not.toHaveProperty('notify');
    expect(production?.notify).toHaveLength(1);
  });

  it('that hold a secret do not have it repeated', () => {
    const url = 'https://hooks.slack.com/services/T0/B0/hidden';
    const texts = [`[{slack: ${url}}]`, `[{webhook: ${url}}]`, `[${url}]`, url, `[[${url}]]`];
    for (const text of texts) {
      const { problems } = read(`notify: ${text}`);
      expect(problems).toMatchObject([{ severity: 'error', line: 1 }]);
      expect(JSON.stringify(problems)).not.toMatch(/hidden|services/);
    }
  });
});

describe('a mistake names its line and the mend:', () => {
  const in2 = (region: string) => `environments:\n  a: {region: ${region}}\n  b: {region: ${region}}`;
  it.each<[string, number, string]>([
    ['region: eu-west', 1, 'region: This is "eu-west"; write a region such as eu-west-1.'],
    ['roleArn: deploy', 1, "write a role's ARN such as"],
    ['externalId: 12345', 1, 'write a text (in quotes)'],
    ['externalId: x1', 1, 'has none for the target default. Write its roleArn'],
    ['targets:\n  - region: eu-west-1\n  - {region: us-east-1, externalId: x1}', 3, 'Write its roleArn'],

    ['targets: []', 1, 'write a list of targets'],
    ['targets: {region: eu-west-1}', 1, 'write a list of targets'],
    [
      'targets:\n  - eu-west-1',
      2,
      'targets.0: This is "eu-west-1"; write a map such as {region: eu-west-1}.',
    ],
    [
      'targets:\n  - regoin: eu-west-1',
      2,
      'Unknown key "regoin". Did you mean "region"? A target takes name,',
    ],
    ['targets:\n  - name: a/b', 2, 'targets.0.name: This is "a/b"; write a name of letters, digits, dashes'],
    ['targets:\n  - region: eu-west-1\n    parameters:\n      Tabel: x', 4, 'Did you mean "Table"?'],
    [
      `targets:\n  - {region: eu-west-1, roleArn: '${role(1)}'}\n  - {region: eu-west-1, roleArn: '${role(2)}'}`,
      3,
      'There are two targets "eu-west-1". Give each a name of its own, such as name: eu-west-1-2.',
    ],
    [
      `targets:\n  - {name: a, roleArn: '${role(1)}'}\n  - {name: b, roleArn: '${role(1, 'other')}'}`,
      1,
      'Targets a and b of production are one and the same, account 000000000001. Give each',
    ],
    ['deploy: code\nfunctions: {Checkout: x}\ntargets: [{name: a}, {name: b}]', 1, 'are one and the same'],
    [
      'targets: [{region: eu-west-1}]\nenvironments:\n  a:\n    region: us-east-1',
      4,
      'region is us-east-1, and each target has one of its own. Leave it out, or write targets for a.',
    ],

    ['waves: [eu-west-1]', 1, 'write a list of waves, each a list of names'],
    ['waves: []', 1, 'write a list of waves'],
    ['waves:\n  - [eu-west-1]\n  - []', 3, 'write a list of waves'],
    ['waves:\n  - [eu-west-1]\n  - [us-east]', 3, 'waves names "us-east", which is no region'],
    ['waves:\n  - [eu-west-1]\n  - [us-east-1, eu-west-1]', 3, 'waves names eu-west-1 twice.'],
    ['waves: [[eu-west-1]]\nregion: eu-west-1', 2, 'and waves names the regions too. Keep one'],
    [
      'targets: [{region: eu-west-1}, {region: us-east-1}]\nwaves:\n  - [eu-west-1]\n  - [us-eats-1]',
      4,
      'waves names "us-eats-1", which is no target. Did you mean "us-east-1"? There are eu-west-1, us-east-1.',
    ],
    [
      'targets: [{region: eu-west-1}, {region: us-east-1}]\nwaves:\n  - [eu-west-1]',
      2,
      'waves leaves out us-east-1. Each target is in one wave',
    ],
    [
      'targets: [{region: eu-west-1}]\nenvironments:\n  a:\n    waves: [[eu-west-1],\n      [eu-west-1]]',
      5,
      'waves names eu-west-1 twice.',
    ],
    [
      in2('eu-west-1'),
      3,
      'a and b both deploy the stack "shop" in eu-west-1. Give each its own, such as stack: shop-b',
    ],
    [
      `environments:\n  a: {roleArn: '${role(7)}'}\n  b: {roleArn: '${role(7, 'other')}'}`,
      3,
      'both deploy the stack "shop" in account 000000000007.',
    ],

    ['approval: maybe', 1, 'approval: This is "maybe"; write required, none, a list of who may, or {by:'],
    ['approval: []', 1, 'nobody could approve'],
    ['approval: [ann, ann]', 1, 'names someone twice'],
    ['approval: [7]', 1, 'write the name of who may approve'],
    ['approval:\n  by: [ann]\n  count: 2', 3, 'approval.count: 2 must approve and only 1 may'],
    ['approval:\n  count: 0', 2, 'write a whole number from 1 to'],
    ['approval:\n  by: [ann]\n  expires: 15d', 3, 'approval.expires: "15d" is too long; write at most 14d.'],
    ['approval:\n  expires: 3', 2, 'Write "3s" if seconds are meant.'],
    ['approval:\n  expires: 0s', 2, 'is no time at all'],
    [
      'approval:\n  form: [ann]\n  expire: 3d',
      3,
      'Unknown key "expire". Did you mean "expires"? approval takes by, count',
    ],

    ['notify: SLUICE_SLACK_OPS', 1, 'write a list such as [{webhook: https://…}, {slack: SLUICE_SLACK_OPS}]'],
    ['notify:\n  - SLUICE_SLACK_OPS', 2, 'notify.0: This is something else; write a map such as'],
    ['notify:\n  - {events: [failed]}', 2, 'exactly one of webhook and slack; this one has neither.'],
    [
      'notify:\n  - slack: SLUICE_SLACK_OPS\n    webhook: https://a.example',
      2,
      'exactly one of webhook and slack; this one has both.',
    ],
    [
      'notify:\n  - slack: OPS',
      2,
      'notify.0.slack: This is "OPS"; write the name of a variable that begins with SLUICE_SLACK_, such as SLUICE_SLACK_OPS, and set it where',
    ],
    [
      'notify:\n  - slack: https://hooks.slack.com/services/T/B/x',
      2,
      'is a secret. Set it as SLUICE_SLACK_OPS',
    ],
    ['notify:\n  - webhook: https://hooks.slack.com/services/T/B/x', 2, 'and write slack: SLUICE_SLACK_OPS'],
    ['notify:\n  - webhook: example.com', 2, '"example.com" is no http or https URL'],
    ['notify:\n  - webhook: https://me:pw@a.example', 2, 'The URL of a.example holds a user or password'],
    [
      'notify:\n  - slack: SLUICE_SLACK_OPS\n    events: [failed, broken]',
      3,
      'notify.0.events.1: This is "broken"; write one of started, waiting, succeeded, failed,',
    ],
    ['notify:\n  - {slack: SLUICE_SLACK_OPS, events: []}', 2, 'write a list of events: started, waiting,'],
    [
      'notify:\n  - slak: SLUICE_SLACK_OPS',
      2,
      'Unknown key "slak". Did you mean "slack"? A notification takes webhook, slack, events.',
    ],

    ['checks: SmokeTest', 1, 'write a list of checks such as'],
    [
      'checks:\n  - {timeout: 5m}',
      2,
      'exactly one of lambda, command and webhook; this one has nothing to run.',
    ],
    ['checks:\n  - lambda: SmokeTest\n    command: make', 3, 'this one has lambda and command.'],
    ['checks:\n  - lamda: SmokeTest', 2, 'Unknown key "lamda". Did you mean "lambda"? A check takes lambda,'],
    [
      'checks:\n  - command: make\n  - lambda: Orders',
      3,
      'Orders is an AWS::DynamoDB::Table, so it cannot be a check',
    ],
    [
      'deploy: code\nfunctions: {Checkout: x}\nchecks:\n  - lambda: SmokeTest',
      4,
      'Write the name of a check in pipeline.yaml',
    ],
    ['checks:\n  - webhook: example.com', 2, '"example.com" is no http or https URL'],
    ['checks:\n  - webhook: ftp://example.com', 2, 'is no http or https URL'],
    [
      'checks:\n  - webhook: https://me:secret@example.com',
      2,
      'The URL of example.com holds a user or password',
    ],
    ['checks:\n  - command: make\n    retries: 11', 3, 'write a whole number from 0 to 10'],
    ['checks:\n  - command: make\n    timeout: soon', 3, '"soon" is not a duration'],
    ['checks:\n  - command: make\n    timeout: [1m]', 3, 'write a duration such as 10m'],
    [
      'checks:\n  - {command: a, name: x}\n  - {command: b, name: x}',
      3,
      'There are two checks "x". Rename one',
    ],

    ['variables:\n  SLUICE_X: a', 2, `The variable's name is "SLUICE_X"; write letters`],
    ['variables:\n  A: a\n  AWS_REGION: a', 3, 'neither SLUICE_ nor AWS_'],
    ['variables:\n  a-b: a', 2, 'write letters, digits and underscores'],
    ['variables:\n  A: [a]', 2, 'variables.A: This is ["a"]; write a text, a number'],
    ['variables: [A]', 1, 'write variables: {NAME: value}'],
    ['concurrency: parallel', 1, 'write superseded, queued or cancel'],

    ['freeze: weekend', 1, 'write a map such as {cron:'],
    ['freeze:\n  cron: 0 16 * * FRY\n  duration: 64h', 2, 'freeze.cron: "0 16 * * FRY" is no cron'],
    ['freeze:\n  - cron: 0 16 * *\n    duration: 64h', 2, 'is no cron of five fields; write one, such as'],
    ['freeze:\n  - cron: 0 0 30 2 *\n    duration: 64h', 2, 'is a day that never comes'],
    ['freeze:\n  - duration: 64h', 2, 'freeze.0.cron: This is empty; write a cron'],
    ['freeze:\n  - cron: 0 16 * * FRI', 2, 'freeze.0.duration: This is empty; write a duration such as 64h'],
    ['freeze:\n  - cron: 0 16 * * FRI\n    duration: 367d', 3, 'is longer than a year'],
    ['freeze:\n  - cron: 0 16 * * FRI\n    duration: 0h', 3, 'is no time at all'],
    [
      'freeze:\n  - cron: 0 16 * * FRI\n    duration: 1h\n    timezone: Berlin',
      4,
      'Did you mean "Europe/Berlin"?',
    ],
    [
      'freeze:\n  - corn: 0 16 * * FRI',
      2,
      'Did you mean "cron"? A freeze window takes cron, duration, timezone, why.',
    ],
    ['keep: 0', 1, 'write a whole number from 1 to 1000'],
    ['keep: 1001', 1, 'write a whole number from 1 to 1000'],
    ['environments:\n  a:\n    keep: all', 3, 'environments.a.keep: This is "all"'],
    [
      'environments:\n  a:\n    approvals: required',
      3,
      'Did you mean "approval"? An environment takes stack,',
    ],
    ['approvals: required', 1, 'Did you mean "approval"? pipeline.yaml takes stack,'],
  ])('%j at line %d', (text, line, message) => {
    const { definition, problems } = read(text);
    expect(definition).toBeUndefined();
    expect(problems).toContainEqual({
      severity: 'error',
      file: 'pipeline.yaml',
      line,
      message: expect.stringContaining(message) as string,
    });
  });
});

describe('any settings', () => {
  /** Mostly what belongs there; sometimes any value, or what belongs elsewhere. */
  const written: Record<string, unknown[]> = {
    region: ['eu-west-1', 'us-east-1'],
    roleArn: [role(1), role(2)],
    externalId: ['shop-7'],
    targets: [
      [{ region: 'eu-west-1' }, { region: 'us-east-1' }],
      [{ name: 'us-east-1', roleArn: role(3) }, { region: 'eu-west-1' }],
    ],
    waves: [[['eu-west-1'], ['us-east-1']], [['us-east-1', 'eu-west-1']]],
    approval: ['required', ['ann'], { by: ['ann', 'bob'], count: 2 }],
    checks: [[{ command: 'make' }, { lambda: 'SmokeTest' }, { webhook: 'https://example.com' }], []],
    variables: [{ LEVEL: 1 }],
    concurrency: ['queued', 'cancel'],
    freeze: [{ cron: '0 0 * * *', duration: '1h' }, []],
    keep: [1],
    notify: [[{ slack: 'SLUICE_SLACK_OPS' }], [{ webhook: 'https://a.example', events: ['failed'] }], []],
  };
  const any = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(...Object.values(written).flat()));
  const settings = fc.record(
    Object.fromEntries(
      Object.entries(written).map(([key, values]) => [
        key,
        fc.oneof({ weight: 40, arbitrary: fc.constantFrom(...values) }, any),
      ]),
    ),
    { requiredKeys: [] },
  );

  it('are a definition or problems with their lines, never a throw', () => {
    let valid = 0;
    fc.assert(
      fc.property(settings, settings, settings, (common, one, two) => {
        const environments = { one: { stack: 'one', ...one }, two: { stack: 'two', ...two } };
        const { definition, problems } = read(JSON.stringify({ ...common, environments }));
        expect(definition === undefined).toBe(problems.some(({ severity }) => severity === 'error'));
        expect(problems.filter(({ line, message }) => !(line >= 1) || message === '')).toEqual([]);
        if (definition) valid++;
        for (const { waves } of definition?.environments ?? []) {
          const names = waves.flat().map(({ name }) => name);
          expect(names.length).toBeGreaterThan(0);
          expect(new Set(names).size).toBe(names.length);
          expect(names.filter((name) => !/^[A-Za-z0-9][A-Za-z0-9_-]*$/.test(name))).toEqual([]);
        }
      }),
      { numRuns: 400 },
    );
    expect(valid).toBeGreaterThan(10);
  });
});
