# SPDX-License-Identifier: MIT
# What the program promises; read by run.sh. Names are kept free of what JSON would have to escape.

answers '12.5 is 1250 cents' 1250 money_parse 12.5
answers '-0.08 is -8 cents' -8 money_parse -0.08

answers '1250 cents are written 12.50' 12.50 money_format 1250
answers '5 cents are written 0.05' 0.05 money_format 5
answers '1205 cents are written 12.05' 12.05 money_format 1205
answers '-2000 cents are written -20.00' -20.00 money_format -2000
answers 'thousands keep their zeros' 1,000,050.75 money_format 100005075

answers '20 % of 10.50 is 2.10' 210 money_percent 1050 20
answers '20 % of 3.33 is rounded up' 67 money_percent 333 20
answers 'half a cent is rounded up' 10 money_percent 95 10
answers '19 % of 9.99 is rounded up' 190 money_percent 999 19
answers '5 % of 0.05 is rounded down' 0 money_percent 5 5

answers 'February 2000 has 29 days' 29 date_month_days 2000 2
answers 'February 1900 has 28 days' 28 date_month_days 1900 2
answers 'February 2100 has 28 days' 28 date_month_days 2100 2
answers 'March follows 2200-02-28' 2200-03-01 date_add 2200-02-28 1

answers '30 days from 2024-01-30 is leap day' 2024-02-29 date_add 2024-01-30 30
answers 'August has a 22nd' 2024-08-22 date_add 2024-08-15 7
answers 'October follows 2023-09-30' 2023-10-01 date_add 2023-09-30 1
answers '10 days from 2024-03-09 is the 19th' 2024-03-19 date_add 2024-03-09 10
answers 'a new year follows 2023-12-31' 2024-01-01 date_add 2023-12-31 1
answers '14 days from 2023-12-25 is next year' 2024-01-08 date_add 2023-12-25 14
answers '62 days from 2024-11-30 is next year' 2025-01-31 date_add 2024-11-30 62
answers '365 days from 2022-08-09 is a year' 2023-08-09 date_add 2022-08-09 365

answers '2024-01-01 is a Monday' Monday date_weekday_name 2024-01-01
answers '2000-02-29 is a Tuesday' Tuesday date_weekday_name 2000-02-29
answers '1999-12-31 is a Friday' Friday date_weekday_name 1999-12-31
answers '2024-06-15 is a Saturday' Saturday date_weekday_name 2024-06-15
answers '2023-11-05 is a Sunday' Sunday date_weekday_name 2023-11-05

answers 'due on a Friday is due on that Friday' 2024-03-15 date_due 2024-03-11 4
answers 'due on a Saturday is due on Monday' 2024-03-18 date_due 2024-03-11 5
answers 'due on a Sunday is due on Monday' 2024-03-18 date_due 2024-03-11 6

answers 'spaces around a text go' 'soft pencil' text_trim '  soft pencil '
answers 'spaces inside a text stay' 'soft  pencil' text_trim ' soft  pencil '
answers 'a star is a star' '*' text_trim '*'
answers 'a text that fits stays whole' pencil text_fit pencil 6
answers 'a text too long ends in a tilde' 'penc~' text_fit pencil 5

prints 'comments and blank lines are skipped' 'to|Ada' order_read <<'ORDER'
# An order

to   Ada
ORDER
prints 'columns may be aligned' 'item|3|435|Field notebook' order_read <<'ORDER'
item  3   4.35   Field notebook
ORDER
prints 'names keep their stars' 'item|1|500|Tea, * * fine' order_read <<'ORDER'
item 1 5 Tea, * * fine
ORDER

# unended COMMAND TEXT: gives the command a text whose last line has no newline.
unended() { printf '%s' "$2" | "$1"; }
prints 'a customer may stand last' 'to|Ada' unended order_read 'to Ada'
prints 'an item may stand last' 'item|2|250|Tea' unended order_read 'item 2 2.5 Tea'

answers '9 at 0.99 cost 8.91' 891 invoice_line 9 99
answers '10 at 0.99 cost 8.91' 891 invoice_line 10 99
answers '10 at 12.00 cost 108.00' 10800 invoice_line 10 1200
answers '10 at 2.50 cost 22.50' 2250 invoice_line 10 250

answers 'nothing is sent for nothing' 0 invoice_shipping 0
answers 'sending 49.99 costs 4.90' 490 invoice_shipping 4999
answers 'sending 50.00 is free' 0 invoice_shipping 5000

prints 'a small invoice adds up' 'Tuesday 2024-03-12
1 x Tea                                7.54
Shipping                               4.90
VAT 20 %                               2.49
Total                                 14.93
Please pay by Tuesday 2024-03-26' invoice_print <<'ORDER'
date 2024-03-12
item 1 7.54 Tea
ORDER
prints 'a large invoice adds up' 'Thursday 2023-12-21
12 x Globe                         1,079.46
Shipping                               0.00
VAT 20 %                             215.89
Total                              1,295.35
Please pay by Monday 2024-01-08' unended invoice_print 'date 2023-12-21
terms 16
item 12 99.95 Globe'
prints 'the invoice for Ada adds up' 'To Ada Lovelace
Saturday 2023-12-09
2 x Log tables, seven figures         34.00
10 x Pencil, soft                      8.91
1 x Punched card  (sample)             0.08
Shipping                               4.90
VAT 20 %                               9.58
Total                                 57.47
Please pay by Monday 2024-01-08' invoice_print <orders/ada.txt
