/** What a handler is: a function of a checked request and the server's services; it knows no HTTP library. */
import type { Clock, Principal, RandomSource, RouteId, routes } from '@villagrid/contracts';
import type { Static, TSchema } from 'typebox';
import type { GridBoard } from '../board.js';
import type { ApiPorts, GridPort } from '../ports.js';
import type { RuleTests } from '../rule-tests/rule-tests.js';
import type { RequestCounters } from '../server/request-counters.js';

/** What every handler may use. */
export interface Services {
  readonly ports: ApiPorts;
  /** The village's clock: times of samples, alerts and acts. */
  readonly clock: Clock;
  readonly realClock: Clock;
  readonly random: RandomSource;
  /** Village milliseconds per real millisecond. */
  readonly speed: number;
  readonly startedMs: number;
  readonly counters: RequestCounters;
  readonly ruleTests: RuleTests;
  board(grid: GridPort): GridBoard;
  /** Ends the live channels of a token. */
  endLive(token: string): void;
  openapi(): string;
}

type RouteOf<Id extends RouteId> = Extract<(typeof routes)[number], { id: Id }>;
type Part<Id extends RouteId, Name extends 'params' | 'query' | 'body'> =
  RouteOf<Id> extends Readonly<Record<Name, infer Schema extends TSchema>> ? Static<Schema> : undefined;
type HasGrid<Id extends RouteId> = RouteOf<Id>['access'] extends { readonly kind: 'role' } ? GridPort : undefined;
type HasPrincipal<Id extends RouteId> = RouteOf<Id>['access'] extends { readonly kind: 'public' }
  ? undefined
  : Principal;

/** A request whose access and schema were checked. */
export interface Call<Id extends RouteId> {
  readonly params: Part<Id, 'params'>;
  readonly query: Part<Id, 'query'>;
  readonly body: Part<Id, 'body'>;
  readonly principal: HasPrincipal<Id>;
  readonly token: string;
  readonly grid: HasGrid<Id>;
  readonly remoteAddress: string;
  /** Name or address that was asked for, without its port; empty where none was said. */
  readonly hostname: string;
  /** Whether another program passed it on, so that `remoteAddress` is that program's. */
  readonly isForwarded: boolean;
  /** By which this request is found in the log. */
  readonly correlationId: string;
  readonly services: Services;
}

/** An answer that is not a plain 200 with a JSON document. */
export class Answer {
  /** A text, or its bytes where they are kept for further answers. */
  readonly body: string | Buffer;
  readonly status: number;
  readonly contentType: string;

  constructor(body: string | Buffer, { status = 200, contentType = 'application/json; charset=utf-8' } = {}) {
    this.body = body;
    this.status = status;
    this.contentType = contentType;
  }
}

/** An answer that is made while it is sent: never as a whole in memory, and no further when nobody reads on. */
export class StreamedAnswer {
  readonly parts: AsyncIterable<string>;
  readonly contentType: string;
  readonly fileName: string;

  constructor(parts: AsyncIterable<string>, contentType: string, fileName: string) {
    this.parts = parts;
    this.contentType = contentType;
    this.fileName = fileName;
  }
}

/** Answers a call with a document, or throws a VillagridError. */
export type Handler<Id extends RouteId> = (call: Call<Id>) => unknown;

/** One handler for each route; the live channel is served apart. */
export type Handlers = { readonly [Id in Exclude<RouteId, 'live'>]: Handler<Id> };
