"""From run directories to tables, figures and a page. Reads files only; knows neither torch nor training."""
