//  sql/pq_schema.h - the tables in a PostgreSQL database
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_PQ_SCHEMA_H
#define TRN_SQL_PQ_SCHEMA_H

//  Entry n leads from version n to n + 1; NULL after the last.
extern const char *const trn_pq_inbox_schema[];
extern const char *const trn_pq_relay_schema[];

#endif
