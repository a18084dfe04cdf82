/**
 * Whether a text is Unicode throughout: JSON can carry half a surrogate pair (`"\ud800"`), which has no UTF-8 and makes
 * `encodeURIComponent` throw.
 */
export const isWellFormedText = (text: string): boolean => !/\p{Cs}/u.test(text);
