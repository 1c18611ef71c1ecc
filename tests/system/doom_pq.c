//  tests/system/doom_pq.c - the steps of libpq that can be the last
//
//  SPDX-License-Identifier: MPL-2.0

#include "doom.h"

#include <libpq-fe.h>

PGresult *
__real_PQexec (PGconn *connection, const char *sql);

PGresult *
__wrap_PQexec (PGconn *connection, const char *sql);

PGresult *
__real_PQexecParams (PGconn *connection, const char *sql, int count,
                     const Oid *types, const char *const *values,
                     const int *sizes, const int *formats, int format);

PGresult *
__wrap_PQexecParams (PGconn *connection, const char *sql, int count,
                     const Oid *types, const char *const *values,
                     const int *sizes, const int *formats, int format);

PGresult *
__wrap_PQexec (PGconn *connection, const char *sql)
{
    doom ();
    if (doom_fails ()) {
        return PQmakeEmptyPGresult (connection, PGRES_FATAL_ERROR);
    }
    PGresult *result = __real_PQexec (connection, sql);
    doom ();
    return result;
}

PGresult *
__wrap_PQexecParams (PGconn *connection, const char *sql, int count,
                     const Oid *types, const char *const *values,
                     const int *sizes, const int *formats, int format)
{
    doom ();
    if (doom_fails ()) {
        return PQmakeEmptyPGresult (connection, PGRES_FATAL_ERROR);
    }
    PGresult *result = __real_PQexecParams (connection, sql, count, types,
                                            values, sizes, formats, format);
    doom ();
    return result;
}
