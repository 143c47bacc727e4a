/* Every command, in the order in which `help` lists them. */
#ifndef NB_REPL_COMMANDS_TABLE_H
#define NB_REPL_COMMANDS_TABLE_H

#include "repl/command.h"

extern const nb_command *const nb_commands[];
extern const size_t nb_n_commands;

extern const nb_command nb_command_back;
extern const nb_command nb_command_bits;
extern const nb_command nb_command_budget;
extern const nb_command nb_command_chat;
extern const nb_command nb_command_check;
extern const nb_command nb_command_compare;
extern const nb_command nb_command_doctor;
extern const nb_command nb_command_exit;
extern const nb_command nb_command_export;
extern const nb_command nb_command_formats;
extern const nb_command nb_command_generate;
extern const nb_command nb_command_help;
extern const nb_command nb_command_hint;
extern const nb_command nb_command_hist;
extern const nb_command nb_command_history;
extern const nb_command nb_command_imatrix;
extern const nb_command nb_command_calibrate, nb_command_activations;
extern const nb_command nb_command_outliers;
extern const nb_command nb_command_import;
extern const nb_command nb_command_info;
extern const nb_command nb_command_inspect;
extern const nb_command nb_command_ladder;
extern const nb_command nb_command_layers;
extern const nb_command nb_command_lesson;
extern const nb_command nb_command_load;
extern const nb_command nb_command_memory;
extern const nb_command nb_command_next;
extern const nb_command nb_command_pareto;
extern const nb_command nb_command_plan;
extern const nb_command nb_command_plot;
extern const nb_command nb_command_play;
extern const nb_command nb_command_ppl;
extern const nb_command nb_command_progress;
extern const nb_command nb_command_quantize;
extern const nb_command nb_command_quiz;
extern const nb_command nb_command_range;
extern const nb_command nb_command_recipe;
extern const nb_command nb_command_reset;
extern const nb_command nb_command_restore;
extern const nb_command nb_command_run;
extern const nb_command nb_command_save;
extern const nb_command nb_command_sensitivity;
extern const nb_command nb_command_set;
extern const nb_command nb_command_show;
extern const nb_command nb_command_skip;
extern const nb_command nb_command_submit;
extern const nb_command nb_command_transform;
extern const nb_command nb_command_undo;

/* All about one command: usage, options, examples, source. */
void nb_command_describe(const nb_command *command, nb_items *out);

#endif
