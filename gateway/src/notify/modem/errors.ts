/** What a modem's error numbers mean, in plain words with what to do: 3GPP TS 27.005 3.2.5 (+CMS), 27.007 9.2 (+CME), 24.011 E-2. */

/** `memory`: it cannot take another message. `pin`: a person has to act. `passing`: may work in a while. `number`: this receiver, not the modem. */
export type ModemFault = 'memory' | 'pin' | 'passing' | 'number' | 'other';

interface Meaning {
  readonly words: string;
  readonly fault: ModemFault;
}

const say = (words: string, fault: ModemFault = 'other'): Meaning => ({ words, fault });

/** Numbers that +CMS and +CME share in meaning, under their own numbers. */
const cms: Readonly<Record<number, Meaning>> = {
  1: say('the network does not know this number', 'number'),
  8: say('the operator has barred SMS for this SIM: is there credit on it?'),
  10: say('SMS to this number are barred', 'number'),
  21: say('the network refused the message: is there credit on the SIM, and the number right?', 'passing'),
  27: say('the receiver cannot be reached now', 'passing'),
  28: say('the network does not know this SIM: is it active?'),
  29: say('the network refused: SMS may not be part of the contract'),
  30: say('the network does not know the receiver', 'number'),
  38: say('the network is out of order', 'passing'),
  41: say('the network has a passing failure', 'passing'),
  42: say('the network is too busy', 'passing'),
  47: say('the network is too busy', 'passing'),
  50: say('SMS are not part of the contract of this SIM'),
  69: say('the network does not do this kind of SMS'),
  192: say('the SMS centre is busy', 'passing'),
  193: say('the SMS centre does not serve this SIM: is the number of the SMS centre right?'),
  194: say('the SMS centre has a failure', 'passing'),
  195: say('the number is not valid', 'number'),
  196: say('SMS to this number are barred', 'number'),
  208: say("the SIM's memory for messages is full", 'memory'),
  301: say('another program uses the modem for SMS', 'passing'),
  302: say('the modem does not allow this now', 'passing'),
  310: say('there is no SIM in the modem', 'pin'),
  311: say('the SIM wants its PIN', 'pin'),
  312: say('the modem is locked to another SIM', 'pin'),
  313: say('the SIM does not work: put it in again, or try it in a phone'),
  314: say('the SIM is busy', 'passing'),
  315: say('the SIM is of a wrong kind'),
  316: say('the SIM is locked and wants its PUK: unlock it in a phone', 'pin'),
  320: say('the memory for messages does not work'),
  322: say('the memory for messages is full', 'memory'),
  330: say('the number of the SMS centre is not known: set sms.service_centre'),
  331: say('there is no network', 'passing'),
  332: say('the network did not answer in time', 'passing'),
  500: say('the modem gives no reason; often there is no credit on the SIM', 'passing'),
};
const cme: Readonly<Record<number, Meaning>> = {
  3: say('the modem does not allow this now', 'passing'),
  4: say('the modem cannot do this'),
  10: say('there is no SIM in the modem', 'pin'),
  11: say('the SIM wants its PIN', 'pin'),
  12: say('the SIM is locked and wants its PUK: unlock it in a phone', 'pin'),
  13: say('the SIM does not work: put it in again, or try it in a phone'),
  14: say('the SIM is busy', 'passing'),
  15: say('the SIM is of a wrong kind'),
  16: say('the PIN is wrong', 'pin'),
  20: say('the memory for messages is full', 'memory'),
  30: say('there is no network', 'passing'),
  31: say('the network did not answer in time', 'passing'),
  32: say('the network allows emergency calls only: is the SIM active?', 'passing'),
  100: say('the modem gives no reason', 'passing'),
};

/** What `+CMS ERROR` or `+CME ERROR` says, by its number or the text that some modems give instead. */
export function errorMeaning(kind: 'cms' | 'cme', code: string): Meaning {
  const known = /^\d+$/.test(code) ? (kind === 'cms' ? cms : cme)[Number(code)] : undefined;
  const told = `+${kind.toUpperCase()} ERROR: ${code}`;
  if (known) return { ...known, words: `${known.words} (${told})` };
  const text = code.toLowerCase();
  if (/memory.*full/.test(text)) return say(`the memory for messages is full (${told})`, 'memory');
  if (/not inserted/.test(text)) return say(`there is no SIM in the modem (${told})`, 'pin');
  if (/incorrect password/.test(text)) return say(`the PIN is wrong (${told})`, 'pin');
  if (/pu?[kn].*required|required.*pu?[kn]|sim pin/.test(text))
    return say(`the SIM wants its PIN or PUK (${told})`, 'pin');
  return say(`the modem says ${told}`, 'passing');
}
