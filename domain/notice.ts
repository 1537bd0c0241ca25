import type { ReleaseVersions } from './ledger.ts';
import { type Commit, isGood, type Outcome } from './status.ts';

/*
 * What others are told of a run's way through an environment, as CloudEvents 1.0 (https://cloudevents.io) and as a
 * message for Slack.
 */

/** `waiting`: for its gate. `rollback`: an operator's; all others are a run's. */
export const noticeEvents = [
  'started',
  'waiting',
  'succeeded',
  'failed',
  'rolledBack',
  'aborted',
  'rejected',
  'superseded',
  'rollback',
] as const;
export type NoticeEvent = (typeof noticeEvents)[number];

/** Who is told, and of what. `slack` names a variable of the workers' environment, since the URL is a secret. */
export type Receiver = ({ webhook: string } | { slack: string }) & { events: NoticeEvent[] };

export interface Notice {
  /** The same for every receiver, and each time it is sent. */
  id: string;
  event: NoticeEvent;
  /** When it happened, ISO 8601 in UTC. */
  at: string;
  /** Of a rollback, the run that made the release that is live after it; `none` where none is. */
  run: string;
  application: string;
  environment: string;
  commit?: Commit;
  outcome: Outcome;
  reason?: string;
  by: string;
  /** What is live now. */
  versions?: ReleaseVersions;
}

/** `succeeded` is told of an `unchanged` run too: it has `started`, and nothing is wrong. */
export function endEvent(outcome: Exclude<Outcome, 'running'>): NoticeEvent {
  return outcome === 'unchanged' ? 'succeeded' : outcome;
}

/** In structured mode: this as JSON is the whole body, of `application/cloudevents+json`. */
export function cloudEventOf({ id, event, at, run, application, environment, ...about }: Notice) {
  const { commit, outcome, reason, by, versions } = about;
  return {
    specversion: '1.0',
    id,
    source: `/sluice/${application}/${environment}`,
    type: `dev.sluice.run.${event}`,
    subject: run,
    time: at,
    datacontenttype: 'application/json',
    data: {
      run,
      application,
      environment,
      ...(commit && { commit }),
      outcome,
      ...(reason && { reason }),
      by,
      ...(versions && { versions }),
    },
  };
}

const subjectMax = 150;
const reasonMax = 600;

/** The body for a Slack incoming webhook. What people and alarms have written mentions nobody and links nowhere. */
export function slackMessageOf(notice: Notice) {
  const { application, environment, run, commit, reason, by } = notice;
  const place = `${plain(application)} ${plain(environment)}`;
  const headline = `*${place}*: ${headlineOf(notice)}`;
  const subject = commit?.subject ? ` ${plain(shortened(commit.subject, subjectMax))}` : '';
  const lines = [
    headline,
    `${plain(run)}${subject} (${plain(shortened(by, subjectMax))})`,
    ...(reason ? [plain(shortened(reason, reasonMax))] : []),
  ];
  const text = lines.join('\n');
  return {
    text,
    // Otherwise Slack would look for names in the text by itself.
    parse: 'none',
    link_names: false,
    blocks: [{ type: 'section', text: { type: 'mrkdwn', text, verbatim: true } }],
  };
}

function headlineOf({ event, outcome, run }: Notice): string {
  const good = isGood(outcome);
  return {
    started: 'the rollout has begun',
    waiting: `waits for approval: pipeline approve ${plain(run)}`,
    succeeded: outcome === 'unchanged' ? 'succeeded, nothing had changed' : 'succeeded',
    failed: 'failed',
    rolledBack: 'rolled back, traffic is where it was',
    aborted: 'aborted',
    rejected: 'rejected',
    superseded: 'superseded by a newer run',
    rollback: good ? 'was put back, and is held' : `could not be put back (${outcome})`,
  }[event];
}

function shortened(text: string, most: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  const characters = Array.from(line);
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : line;
}

/** Slack's three characters escaped, and an @ parted from the name after it. */
function plain(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('@', `@${wordJoiner}`);
}

/** Has no width. */
const wordJoiner = '\u2060';
