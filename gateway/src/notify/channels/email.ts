/** E-mail over SMTP, where there is a link. Credentials go to the server and nowhere else. */
import { messageOf } from '@villagrid/contracts';
import type { Logger } from '@villagrid/runtime';
import { ChannelError, type NotifyChannel } from './port.js';

export interface EmailOptions {
  readonly host: string;
  readonly port: number;
  /** `tls` from the first byte, `starttls` required, or `none`. */
  readonly security: 'tls' | 'starttls' | 'none';
  readonly from: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly logger: Logger;
  /** Longest waits of the connection, real milliseconds; for tests. */
  readonly timeoutMs?: number;
}

/** A link in a village is slow, not absent. */
const usualTimeoutMs = 60_000;

/** Makes the channel. Each message has a connection of its own: between alerts lie days. */
export function emailChannel(options: EmailOptions): NotifyChannel {
  const { host, port, security, from, username, password, timeoutMs = usualTimeoutMs } = options;
  const transport = async () => {
    // Gateways without e-mail do without the library.
    const { createTransport } = await import('nodemailer');
    return createTransport({
      host,
      port,
      secure: security === 'tls',
      requireTLS: security === 'starttls',
      ignoreTLS: security === 'none',
      ...(username === undefined ? {} : { auth: { user: username, pass: password ?? '' } }),
      connectionTimeout: timeoutMs,
      greetingTimeout: timeoutMs,
      socketTimeout: timeoutMs,
      disableFileAccess: true,
      disableUrlAccess: true,
      logger: false,
    });
  };
  const once = async <T>(work: (mail: Awaited<ReturnType<typeof transport>>) => Promise<T>): Promise<T> => {
    const mail = await transport();
    try {
      return await work(mail);
    } catch (error) {
      throw inWords(error, host, port, password);
    } finally {
      mail.close();
    }
  };
  return {
    name: 'email',
    async send({ to, text }) {
      await once((mail) =>
        mail.sendMail({
          from,
          to: { name: '', address: to },
          subject: text.subject,
          text: text.body,
          // Mail programs must not answer an alarm with a holiday notice.
          headers: { 'Auto-Submitted': 'auto-generated' },
        }),
      );
      options.logger.info('e-mail sent');
    },
    async check() {
      await once((mail) => mail.verify());
      return { state: 'ok', detail: `${host} answers${username === undefined ? '' : ` and knows ${username}`}` };
    },
    async hush() {},
    async close() {},
  };
}

interface SmtpError {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
  readonly command?: string;
}

function inWords(error: unknown, host: string, port: number, password: string | undefined): ChannelError {
  const { code, responseCode, response } = error as SmtpError;
  const where = `${host}:${port}`;
  const answer = response === undefined ? '' : ` (${withoutSecret(response, password)})`;
  const refused = responseCode !== undefined && responseCode >= 500;
  if (code === 'EAUTH') return new ChannelError(`${host} does not know this name and password${answer}`);
  if (code === 'EENVELOPE' && refused)
    return new ChannelError(`${host} does not take mail for this address${answer}`, { receiver: true });
  if (code === 'EDNS' || code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return new ChannelError(`${host} is not found: there may be no link to the internet now`);
  if (
    code === 'ETIMEDOUT' ||
    code === 'ECONNECTION' ||
    code === 'ESOCKET' ||
    code === 'ECONNREFUSED' ||
    code === 'ETLS'
  ) {
    const text = withoutSecret(messageOf(error), password);
    if (/certificate|self.signed|issuer|altname/i.test(text))
      return new ChannelError(`the certificate of ${where} is not accepted: ${text}. Does the gateway know the time?`);
    if (/STARTTLS/i.test(text)) return new ChannelError(`${where} does not offer STARTTLS: set email.security`);
    return new ChannelError(`${where} cannot be reached: there may be no link now (${text})`);
  }
  return new ChannelError(
    `${host} did not take the message${answer || `: ${withoutSecret(messageOf(error), password)}`}`,
  );
}

/** Some servers say back what they were sent. */
function withoutSecret(text: string, password: string | undefined): string {
  if (password === undefined || password === '') return text;
  return text.replaceAll(password, '***').replaceAll(Buffer.from(password).toString('base64'), '***');
}
