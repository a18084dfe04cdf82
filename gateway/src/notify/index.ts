/** Telling people: what the composition root and tools beside the daemon use of this room. */
export { ChannelError, type ChannelMessage, type ChannelStatus, type NotifyChannel } from './channels/port.js';
export { makeChannels, type MakeChannelsOptions } from './channels/make.js';
export { smsChannel, type SmsOptions, mustBePhoneNumber, amountIn } from './channels/sms.js';
export { emailChannel, type EmailOptions } from './channels/email.js';
export { relayChannel, type RelayOptions, type Switch } from './channels/relay.js';
export { serialBoard } from './channels/serial-board.js';
export { gpioPin } from './channels/gpio-pin.js';
export { createModem, type Modem, type ModemOptions, type ModemWaits, type PinMemory } from './modem/modem.js';
export * from './notifier.js';
