/*
 * The lease protocol with fences, for Spin: clients that may be stopped at any point for any time, a server that
 * counts a ttl, requests and replies that take any time or are lost, and a resource that remembers the highest fence
 * that it has seen. Time is discrete and passes at any moment.
 *
 * Checked over all interleavings within the bounds below:
 *   resource  nobody writes to the resource what he read before somebody else did
 *   belief    no two clients believe in their leases at the same time, each by a look at the clock
 *
 * Mutants, of which each has to fail:
 *   -DNO_FENCE        the resource accepts every write: `resource` fails, since a client may be stopped between its
 *                     look at the clock and the write, though `belief` holds
 *   -DFROM_THE_REPLY  a lease counts from its reply instead of from its request: `belief` fails, though `resource`,
 *                     which trusts no clock, holds
 */

#ifndef CLIENTS
#define CLIENTS 2
#endif
#define TTL 2
#define MOST_TIME 4
#define NOBODY 255

byte now = 0;

/* the server: one step at a time, each atomic */
byte holder = NOBODY;
byte expiresAt = 0;
byte lastFence = 0;

/* the resource */
byte highestFence = 0;
byte reader = NOBODY; /* who has read, and has not written yet */

/* what clients believe */
byte validUntil[CLIENTS];
bool holds[CLIENTS];

bool lostUpdate = false;

#define BELIEVES(c) (holds[c] && now < validUntil[c])

/* one request and one reply may be under way for each client; both take as long as they like */
chan request[CLIENTS] = [1] of { byte }; /* the time at which it was sent */
chan reply[CLIENTS] = [1] of { byte, byte, byte }; /* granted?, its fence, when the request was sent */

active proctype Time() {
  do
  :: now < MOST_TIME -> now++
  :: now == MOST_TIME -> break
  od
}

active proctype Server() {
  byte client, sentAt, granted;
end:
  do
  :: atomic {
       if
       :: request[0]?sentAt -> client = 0
       :: request[1]?sentAt -> client = 1
#if CLIENTS > 2
       :: request[2]?sentAt -> client = 2
#endif
       fi;
       if
       :: holder == NOBODY || now >= expiresAt ->
            lastFence++;
            holder = client;
            expiresAt = now + TTL;
            granted = 1
       :: holder == client && now < expiresAt ->
            /* a claim that was sent again, or a renewal: the same fence, the lease counted anew */
            expiresAt = now + TTL;
            granted = 1
       :: else -> granted = 0
       fi;
       if
       :: empty(reply[client]) && granted -> reply[client]!1, lastFence, sentAt
       :: empty(reply[client]) && !granted -> reply[client]!0, 0, 0
       :: true -> skip /* the reply is lost */
       fi;
       client = 0; sentAt = 0; granted = 0
     }
  od
}

proctype Client(byte me) {
  byte fence, granted, sentAt;
  byte left = 2; /* so many requests */
  do
  :: left > 0 ->
       left--;
       atomic {
         if
         :: empty(request[me]) -> request[me]!now
         :: true -> skip /* it is lost */
         fi
       };
       /* here it may be stopped for any time, and so may the reply */
       if
       :: true -> skip /* enough of waiting: that says nothing about the lease */
       :: atomic { reply[me]?granted, fence, sentAt ->
#ifdef FROM_THE_REPLY
         sentAt = now;
#endif
         if
         :: granted && now < sentAt + TTL -> holds[me] = true; validUntil[me] = sentAt + TTL
         :: else -> holds[me] = false
         fi;
         sentAt = 0; granted = 0
       }
       fi;
       if
       :: holds[me] ->
            /* it looks at the clock, and may be stopped between that look and the resource */
            if
            :: BELIEVES(me) ->
                 atomic {
                   if
#ifdef NO_FENCE
                   :: true -> reader = me
#else
                   :: fence >= highestFence -> highestFence = fence; reader = me
                   :: else -> skip
#endif
                   fi
                 };
                 /* stopped again, and now without another look */
                 atomic {
                   if
#ifdef NO_FENCE
                   :: true -> lostUpdate = lostUpdate || (reader != me)
#else
                   :: fence >= highestFence && highestFence > 0 -> lostUpdate = lostUpdate || (reader != me)
                   :: else -> skip
#endif
                   fi
                 }
            :: else -> skip
            fi;
            if
            :: true -> skip /* keeps the lease, and renews it by the next request */
            :: true -> atomic { /* gives it back, if it is still its own */
                 holds[me] = false;
                 if
                 :: holder == me && now < expiresAt && lastFence == fence -> holder = NOBODY
                 :: else -> skip
                 fi
               }
            fi
       :: else -> skip
       fi
  :: left == 0 -> break
  od;
  holds[me] = false
}

init {
  atomic {
    run Client(0);
    run Client(1);
#if CLIENTS > 2
    run Client(2)
#endif
  }
}

#if CLIENTS > 2
#define OVERLAP ((BELIEVES(0) && BELIEVES(1)) || (BELIEVES(0) && BELIEVES(2)) || (BELIEVES(1) && BELIEVES(2)))
#else
#define OVERLAP (BELIEVES(0) && BELIEVES(1))
#endif

ltl resource { [] !lostUpdate }
ltl belief { [] !OVERLAP }
ltl both { [] (!lostUpdate && !OVERLAP) }
