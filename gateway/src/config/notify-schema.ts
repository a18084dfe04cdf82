/** Settings of telling people: whom, by which ways and when. Part of `gateway.yaml`; secrets are in a file of their own. */
import { notifyLanguages, type Severity } from '@villagrid/contracts';
import { Type, type Static } from 'typebox';

const severity = (standard: Severity, description: string) =>
  Type.Union([Type.Literal('critical'), Type.Literal('high'), Type.Literal('medium'), Type.Literal('low')], {
    default: standard,
    description,
  });
const hours = (description: string) => Type.Optional(Type.Array(Type.String(), { minItems: 1, description }));
const minutes = (standard: number, description: string) =>
  Type.Number({ default: standard, minimum: 0, maximum: 10_080, description });
const port = Type.String({
  pattern: '^/',
  description: 'the port, best by a name that stays: /dev/serial/by-id/… or /dev/serial/by-path/…',
});

/** Somebody who is told. */
export const notifyPersonSchema = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 80, description: 'who it is; each name once' }),
    language: Type.Enum([...notifyLanguages], { default: 'en', description: 'language of the messages' }),
    on_call: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 99,
        description:
          'place in the order in which people are called until somebody acknowledges; who has none is told once, beside that order. When nobody has one, all are the first',
      }),
    ),
    hours: hours(
      'when less than critical may ring, in the time of the village: "06:00-21:30", "mon-fri 18:00-06:00"; always when left out. Critical rings at any hour',
    ),
    ways: Type.Array(
      Type.Object(
        {
          channel: Type.Union([Type.Literal('sms'), Type.Literal('email')]),
          to: Type.String({
            minLength: 3,
            maxLength: 254,
            description: 'number in the form +255712345678, or address',
          }),
          least_severity: severity('high', 'least severity that uses this way'),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 5, description: 'tried in this order until one works' },
    ),
  },
  { additionalProperties: false },
);

/** All of it. */
export const notifySchema = Type.Object(
  {
    people: Type.Array(notifyPersonSchema, { default: [] }),
    sms: Type.Optional(
      Type.Object(
        {
          path: port,
          baud: Type.Integer({
            minimum: 1200,
            maximum: 1_000_000,
            default: 115_200,
            description: 'speed, bits a second',
          }),
          service_centre: Type.Optional(
            Type.String({
              pattern: '^\\+[1-9][0-9]{6,14}$',
              description: "number of the operator's SMS centre, where the SIM does not know it",
            }),
          ),
          balance_code: Type.Optional(
            Type.String({
              pattern: '^[*#][0-9*#]{1,30}$',
              description: 'USSD code that asks the operator for the credit, such as *102#; asked every six hours',
            }),
          ),
        },
        {
          additionalProperties: false,
          description: 'a GSM modem on a serial port; the PIN of its SIM: `villagrid notify secret sms-pin`',
        },
      ),
    ),
    email: Type.Optional(
      Type.Object(
        {
          host: Type.String({ minLength: 1, description: 'the mail server' }),
          port: Type.Integer({ minimum: 1, maximum: 65_535, default: 587 }),
          security: Type.Union([Type.Literal('starttls'), Type.Literal('tls'), Type.Literal('none')], {
            default: 'starttls',
            description:
              'tls from the first byte (port 465), starttls, or none, where everybody on the way can read it',
          }),
          from: Type.String({ minLength: 3, maxLength: 254, description: 'address that messages come from' }),
          username: Type.Optional(
            Type.String({ minLength: 1, description: 'login; its password: `villagrid notify secret email-password`' }),
          ),
        },
        { additionalProperties: false, description: 'e-mail, where there is a link to the internet' },
      ),
    ),
    relay: Type.Optional(
      Type.Object(
        {
          serial: Type.Optional(
            Type.Object(
              {
                path: port,
                relay: Type.Integer({ minimum: 1, maximum: 8, default: 1, description: 'which relay of the board' }),
              },
              { additionalProperties: false, description: 'a USB relay board of the LCUS kind' },
            ),
          ),
          gpio: Type.Optional(
            Type.Object(
              {
                chip: Type.String({
                  pattern: '^[\\w/.-]+$',
                  default: 'gpiochip0',
                  description: 'as `gpiodetect` names it',
                }),
                line: Type.Integer({
                  minimum: 0,
                  maximum: 511,
                  description: 'number of the pin, as `gpioinfo` shows it',
                }),
                active_low: Type.Boolean({
                  default: false,
                  description: 'true for a relay that is on while the pin is low',
                }),
                program: Type.String({ minLength: 1, default: 'gpioset', description: 'the program that sets it' }),
              },
              { additionalProperties: false, description: 'a pin of the box; needs the package gpiod' },
            ),
          ),
          least_severity: severity('critical', 'least severity that sounds it'),
          hours: hours('when less than critical may sound it, as for people'),
          sound_s: Type.Number({
            default: 30,
            minimum: 1,
            maximum: 3600,
            description: 'how long it is on; again after least_gap_min, until somebody acknowledges',
          }),
        },
        { additionalProperties: false, description: 'a relay with a buzzer or lamp: either serial or gpio' },
      ),
    ),
    gather_s: Type.Number({
      default: 30,
      minimum: 0,
      maximum: 3600,
      description: 'how long alerts are gathered into one message, seconds; critical ones 3 s at most',
    }),
    least_gap_min: minutes(
      5,
      'least time between two messages to one person, minutes; while something is critical 1 at most',
    ),
    escalate_after_min: Type.Object(
      {
        critical: minutes(10, 'minutes; 0 is never'),
        high: minutes(30, 'minutes; 0 is never'),
        medium: minutes(0, 'minutes; 0 is never'),
        low: minutes(0, 'minutes; 0 is never'),
      },
      {
        additionalProperties: false,
        default: {},
        description: 'how long after a message the next on call is told when nobody has acknowledged',
      },
    ),
    repeat_after_min: minutes(60, 'when all on call were told in vain, it begins again after so long, minutes'),
    repeats: Type.Integer({ default: 3, minimum: 0, maximum: 100, description: 'how often it begins again' }),
    secrets_file: Type.String({
      default: 'notify-secrets.json',
      description: "PIN and password, written by `villagrid notify secret`; mode 0600; relative to this file's folder",
    }),
  },
  {
    additionalProperties: false,
    description: 'telling people who have no app open of alerts: by SMS, e-mail or a buzzer',
  },
);
export type NotifyConfig = Static<typeof notifySchema>;
