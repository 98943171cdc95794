// Errors of work that no request waits for. No response reports them, so the log says which work failed.

/** The work, and the words of the log for its failure. */
export const backgroundWork = {
  note_session_use: 'use of sessions not noted',
  note_key_use: 'use of service keys not noted',
  write_pending_ends: 'ends of very many sessions not written out yet',
  remove_account: 'closed account not removed completely yet',
  send_code_to_owner: 'code for the owner of an account not sent',
  tell_old_number: 'notice to the number before a change of number not sent',
  pass_on_change: 'change of an account not passed on to a subscriber',
} as const

type BackgroundWork = keyof typeof backgroundWork

/** Each part of the program passes the name of its own work. */
export type OnBackgroundError = (work: BackgroundWork, error: unknown) => void
