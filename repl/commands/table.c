#include "repl/commands/table.h"

const nb_command *const nb_commands[] = {
    &nb_command_load,
    &nb_command_info,
    &nb_command_layers,
    &nb_command_show,
    &nb_command_hist,
    &nb_command_plot,
    &nb_command_inspect,
    &nb_command_save,

    &nb_command_bits,
    &nb_command_range,
    &nb_command_formats,
    &nb_command_memory,
    &nb_command_plan,

    &nb_command_quantize,
    &nb_command_recipe,
    &nb_command_budget,
    &nb_command_transform,
    &nb_command_restore,
    &nb_command_undo,

    &nb_command_imatrix,
    &nb_command_calibrate,
    &nb_command_activations,
    &nb_command_outliers,

    &nb_command_generate,
    &nb_command_chat,
    &nb_command_ppl,
    &nb_command_quiz,
    &nb_command_compare,
    &nb_command_ladder,
    &nb_command_sensitivity,
    &nb_command_pareto,

    &nb_command_lesson,
    &nb_command_next,
    &nb_command_back,
    &nb_command_hint,
    &nb_command_check,
    &nb_command_skip,
    &nb_command_play,
    &nb_command_progress,
    &nb_command_submit,

    &nb_command_help,
    &nb_command_history,
    &nb_command_run,
    &nb_command_export,
    &nb_command_import,
    &nb_command_set,
    &nb_command_reset,
    &nb_command_doctor,
    &nb_command_exit,
};

const size_t nb_n_commands = sizeof nb_commands / sizeof *nb_commands;
