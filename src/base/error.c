//  base/error.c - the English of the error values
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern/error.h>

const char *
tern_strerror (int error)
{
    switch (error) {
    case TERN_OK: return "done";
    case TERN_EINVAL: return "not a valid argument or setting";
    case TERN_ENOMEM: return "does not fit in memory";
    case TERN_EAGAIN: return "not now, try again";
    case TERN_ETIMEOUT: return "timed out";
    case TERN_EINUSE: return "in use by another process";
    case TERN_ECORRUPT: return "stored data is corrupt";
    case TERN_EVERSION: return "format of another version";
    case TERN_EIO: return "disk error";
    case TERN_EFULL: return "full";
    case TERN_EACCESS: return "permission denied";
    case TERN_ENOENT: return "not found";
    case TERN_ETOOBIG: return "over the limit";
    case TERN_ENAME: return "not a valid name";
    case TERN_ECLOSED: return "closed";
    case TERN_EPROTO: return "protocol error";
    case TERN_EFENCED: return "fenced by a newer incarnation";
    case TERN_ENODIR: return "no directory answers";
    case TERN_ENET: return "network error";
    case TERN_EBUSY: return "still in use in this process";
    case TERN_ENOTSUP: return "not offered by this build";
    case TERN_ENOROUTE: return "no queue is bound for it";
    case TERN_ETYPE: return "exchange of another type";
    case TERN_EFAILED: return "the server failed";
    case TERN_ELOST: return "the server is gone";
    default: return "unknown error";
    }
}
