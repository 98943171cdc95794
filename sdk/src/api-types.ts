// The types of the /v1 API, written by `npm run -w sdk generate`: do not edit.
export interface paths {
    "/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** My devices 我的设备 */
        get: operations["listSessions"];
        put?: never;
        /**
         * Sign in 登录
         * @description With phone number and password. Which older sessions end is the server's policy: by default those of the same platform.
         */
        post: operations["createSession"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/session": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /** Who am I 我是谁 */
        get: operations["getSession"];
        put?: never;
        post?: never;
        /** Sign out 注销 */
        delete: operations["endSession"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/session/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * New token 换令牌
         * @description The old token stays good until the new one is first used, for 60 s at most, and until then gives the same new token again. Shown later, it ends the session.
         */
        post: operations["rotateToken"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/sessions/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Sign a device out 移除设备
         * @description A session of the account that is over already answers 204 as well, so that a lost answer may be asked again.
         */
        delete: operations["endSessionById"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        NewSession: {
            /**
             * @description With country code, or as it is dialled in the default region.
             * @example 12345678901
             */
            phone_number: string;
            /** @example 123456 */
            password: string;
            /** @description The device that signs in; people see it in their list of devices. */
            device?: {
                /**
                 * @description What the app runs on.
                 * @enum {string}
                 */
                platform?: "ios" | "android" | "harmony" | "mini_program" | "web" | "desktop" | "other";
                /** @description Stays the same on this device. */
                id?: string;
                /** @example iPhone 15 */
                name?: string;
                /** @example 2.1.0 */
                app_version?: string;
            };
        };
        Account: {
            /** @description UUID. */
            id: string;
            /**
             * @description E.164.
             * @example +8612345678901
             */
            phone_number: string;
            nickname: string | null;
        };
        Session: {
            /** @description Public: it names the session and proves nothing. */
            id: string;
            /** @enum {string} */
            platform: "ios" | "android" | "harmony" | "mini_program" | "web" | "desktop" | "classic" | "other";
            device: {
                id: string | null;
                name: string | null;
                app_version: string | null;
            };
            /** @description Address of the sign-in. */
            ip: string | null;
            /**
             * Format: date-time
             * @description When it was signed in.
             */
            created_at: string;
            /**
             * Format: date-time
             * @description When it was last used; exact to a few minutes.
             */
            seen_at: string;
            /** @description When it ends unless it is used before; null: never. */
            expires_at: string | null;
            /** @description Whether it is the session that asks. */
            current: boolean;
        };
        SignedIn: {
            session: components["schemas"]["Session"];
            account: components["schemas"]["Account"];
        };
        IssuedSession: {
            /** @description Proves the session. Shown only here; keep it in the secure storage of the device. */
            token: string;
            session: components["schemas"]["Session"];
            account: components["schemas"]["Account"];
        };
        RotatedSession: {
            /** @description To be used from now on. Write it to the secure storage of the device before you use it. */
            token: string;
            session: components["schemas"]["Session"];
        };
        SessionList: {
            sessions: components["schemas"]["Session"][];
        };
        /** @description Problem details (RFC 9457). */
        Problem: {
            /** @example urn:hufu:problem:session_replaced */
            type: string;
            /** @description For people, in the language of Accept-Language (zh-CN or en). */
            title: string;
            status: number;
            /**
             * @description For programs. docs/errors.md tells what each one means.
             * @enum {string}
             */
            code: "invalid_json" | "invalid_request" | "bad_request" | "unsupported_media_type" | "body_too_large" | "not_found" | "method_not_allowed" | "token_missing" | "token_in_url" | "credentials_conflict" | "token_unknown" | "session_signed_out" | "session_replaced" | "session_kicked" | "session_banned" | "session_password_changed" | "session_phone_changed" | "session_account_closed" | "session_expired" | "session_token_reused" | "session_not_found" | "session_limit_reached" | "credentials_wrong" | "phone_number_invalid" | "phone_number_taken" | "password_refused" | "account_not_found" | "account_banned" | "overloaded" | "unavailable" | "internal";
            /** @description As in X-Request-Id; absent where the request could not be read. */
            request_id?: string;
            fields?: {
                /** @description JSON pointer (RFC 6901) into the body. */
                pointer: string;
                /** @example is_missing */
                problem: string;
            }[];
            /** @description Which rule a refused password breaks. */
            rule?: string;
            /**
             * Format: date-time
             * @description When the session ended.
             */
            ended_at?: string;
            /** @description The device that ended the session. */
            ended_by?: {
                /** @enum {string} */
                platform: "ios" | "android" | "harmony" | "mini_program" | "web" | "desktop" | "classic" | "other";
                device_name: string | null;
            };
            /** @description End of the ban; null: none is set. */
            banned_until?: string | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    listSessions: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The live sessions, oldest first */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SessionList"];
                };
            };
            /** @description bad_request, credentials_conflict, token_in_url */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description token_missing, token_unknown, session_signed_out, session_replaced, session_kicked, session_banned, session_password_changed, session_phone_changed, session_account_closed, session_expired, session_token_reused */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    createSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "application/json": components["schemas"]["NewSession"];
            };
        };
        responses: {
            /** @description Signed in */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["IssuedSession"];
                };
            };
            /** @description invalid_json, bad_request */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description credentials_wrong */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description account_banned */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description session_limit_reached */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description body_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unsupported_media_type */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description invalid_request, phone_number_invalid */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description overloaded, unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    getSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The session and its account */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["SignedIn"];
                };
            };
            /** @description bad_request, credentials_conflict, token_in_url */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description token_missing, token_unknown, session_signed_out, session_replaced, session_kicked, session_banned, session_password_changed, session_phone_changed, session_account_closed, session_expired, session_token_reused */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    endSession: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Signed out, on every server */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description bad_request, credentials_conflict, token_in_url */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description token_missing, token_unknown, session_signed_out, session_replaced, session_kicked, session_banned, session_password_changed, session_phone_changed, session_account_closed, session_expired, session_token_reused */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    rotateToken: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The same session with a new token */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/json": components["schemas"]["RotatedSession"];
                };
            };
            /** @description bad_request, credentials_conflict, token_in_url */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description token_missing, token_unknown, session_signed_out, session_replaced, session_kicked, session_banned, session_password_changed, session_phone_changed, session_account_closed, session_expired, session_token_reused */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    endSessionById: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description As in the list of sessions. */
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The session is over, on every server */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description bad_request, credentials_conflict, token_in_url */
            400: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description token_missing, token_unknown, session_signed_out, session_replaced, session_kicked, session_banned, session_password_changed, session_phone_changed, session_account_closed, session_expired, session_token_reused */
            401: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description session_not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description internal */
            500: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description unavailable */
            503: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
