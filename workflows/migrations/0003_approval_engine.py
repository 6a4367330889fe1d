import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from core.migrations._append_only import append_only, lifted
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('governance', '0004_approval_engine'),
        ('registry', '0004_names_in_byte_order'),
        ('workflows', '0002_append_only'),
    ]

    operations = [
        lifted("workflows_review", "workflows_requestpolicy"),
        migrations.RemoveConstraint(
            model_name='promotionrequest',
            name='one_open_request_per_target',
        ),
        migrations.RemoveConstraint(
            model_name='requestpolicy',
            name='one_pin_per_binding',
        ),
        migrations.RenameField(
            model_name='review',
            old_name='roles',
            new_name='groups',
        ),
        migrations.AddField(
            model_name='notification',
            name='mailed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='notification',
            name='path',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='escalated_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='generation',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='demanded_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='hold',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='kind',
            field=models.CharField(choices=[('promotion', 'Promotion'), ('rollback', 'Rollback'), ('re_review', 'Re Review')], default='promotion', max_length=9),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='superseded_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='supersedes', to='workflows.promotionrequest'),
        ),
        migrations.AddField(
            model_name='promotionrequest',
            name='valid_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='requestpolicy',
            name='generation',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='requestpolicy',
            name='mode',
            field=models.CharField(choices=[('enforce', 'Enforce'), ('warn', 'Warn'), ('shadow', 'Shadow')], default='enforce', max_length=7),
        ),
        migrations.AlterField(
            model_name='notification',
            name='request',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='notifications', to='workflows.promotionrequest'),
        ),
        migrations.AlterField(
            model_name='promotionrequest',
            name='state',
            field=models.CharField(choices=[('draft', 'Draft'), ('checking', 'Checking'), ('in_review', 'In Review'), ('changes_requested', 'Changes Requested'), ('approved', 'Approved'), ('executing', 'Executing'), ('done', 'Done'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn'), ('expired', 'Expired'), ('superseded', 'Superseded'), ('failed', 'Failed')], default='checking', max_length=17),
        ),
        migrations.AlterField(
            model_name='requestpolicy',
            name='binding',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='governance.binding'),
        ),
        migrations.AddConstraint(
            model_name='promotionrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('checking', 'in_review', 'changes_requested', 'approved', 'executing'))), fields=('model', 'target_kind', 'target'), name='one_open_request_per_target'),
        ),
        migrations.AddConstraint(
            model_name='requestpolicy',
            constraint=models.UniqueConstraint(fields=('request', 'binding', 'generation'), name='one_pin_per_binding'),
        ),
        migrations.AddIndex(
            model_name='promotionrequest',
            index=models.Index(fields=['-created_at', '-id'], name='request_newest'),
        ),
        migrations.AddIndex(
            model_name='promotionrequest',
            index=models.Index(condition=models.Q(('state__in', ('checking', 'in_review', 'changes_requested', 'approved', 'executing'))), fields=['-created_at', '-id'], name='request_newest_open'),
        ),
        migrations.AddIndex(
            model_name='promotionrequest',
            index=models.Index(fields=['requested_by', '-created_at', '-id'], name='request_of_person'),
        ),
        migrations.CreateModel(
            name='BreakGlass',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('target_kind', models.CharField(choices=[('stage', 'Stage'), ('alias', 'Alias')], max_length=5)),
                ('target', models.CharField(max_length=255)),
                ('reason', models.TextField()),
                ('incident', models.CharField(max_length=100)),
                ('minutes', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('requested', 'Requested'), ('in_force', 'In Force'), ('reverted', 'Reverted'), ('closed', 'Closed'), ('refused', 'Refused')], default='requested', max_length=9)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('ends_at', models.DateTimeField(blank=True, null=True)),
                ('from_stage', models.CharField(blank=True, default='', max_length=40)),
                ('reverted_at', models.DateTimeField(blank=True, null=True)),
                ('reviewed_at', models.DateTimeField(blank=True, null=True)),
                ('review_note', models.TextField(blank=True, default='')),
                ('confirmed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('displaced', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.modelversion')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='emergencies', to='registry.registeredmodel')),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('reviewed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='registry.modelversion')),
                ('outcome', models.TextField(blank=True, default='')),
            ],
            options={
                'indexes': [models.Index(fields=['state', 'ends_at'], name='emergency_by_state')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ['requested', 'in_force'])), fields=('model', 'target_kind', 'target'), name='one_emergency_per_target')],
            },
        ),
        migrations.CreateModel(
            name='BusinessCalendarRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('zone', models.CharField(max_length=64)),
                ('weekdays', models.JSONField()),
                ('opens', models.TimeField()),
                ('closes', models.TimeField()),
                ('holidays', models.JSONField(default=list)),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('valid_to', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('valid_to__isnull', True)), fields=('name',), name='one_current_calendar_per_name')],
            },
        ),
        migrations.CreateModel(
            name='Thread',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('anchor_kind', models.CharField(choices=[('request', 'Request'), ('requirement', 'Requirement'), ('measurement', 'Measurement'), ('card', 'Card'), ('version', 'Version')], max_length=11)),
                ('anchor', models.CharField(blank=True, default='', max_length=300)),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('resolved_at', models.DateTimeField(blank=True, null=True)),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('request', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='threads', to='workflows.promotionrequest')),
                ('resolved_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='threads', to='registry.modelversion')),
            ],
            options={
                'indexes': [models.Index(fields=['request', 'opened_at'], name='thread_of_request')],
            },
        ),
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField()),
                ('mentions', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('edited_at', models.DateTimeField(blank=True, null=True)),
                ('deleted_at', models.DateTimeField(blank=True, null=True)),
                ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('thread', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='comments', to='workflows.thread')),
            ],
        ),
        migrations.CreateModel(
            name='Delegation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('groups', models.JSONField(default=list)),
                ('reason', models.TextField()),
                ('starts_at', models.DateTimeField()),
                ('ends_at', models.DateTimeField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('delegate', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='delegations_held', to=settings.AUTH_USER_MODEL)),
                ('delegator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='delegations_given', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['delegate', 'ends_at'], name='delegation_held')],
                'constraints': [models.CheckConstraint(condition=models.Q(('ends_at__gt', models.F('starts_at'))), name='a_delegation_ends_after_it_starts'), models.CheckConstraint(condition=models.Q(('delegator', models.F('delegate')), _negated=True), name='nobody_delegates_to_themselves')],
            },
        ),
        migrations.CreateModel(
            name='FreezeWindow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('reason', models.CharField(max_length=300)),
                ('starts', models.CharField(max_length=19)),
                ('duration_minutes', models.PositiveIntegerField()),
                ('zone', models.CharField(max_length=64)),
                ('rrule', models.CharField(blank=True, default='', max_length=300)),
                ('models_matching', models.JSONField(default=list)),
                ('risk_tiers', models.JSONField(default=list)),
                ('stages', models.JSONField(default=list)),
                ('aliases', models.JSONField(default=list)),
                ('valid_from', models.DateTimeField(default=django.utils.timezone.now)),
                ('valid_to', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('valid_to__isnull', True)), fields=('name',), name='one_current_freeze_per_name')],
            },
        ),
        migrations.CreateModel(
            name='MailPreference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wanted', models.BooleanField(default=True)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='mail_preference', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ReReview',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('target_kind', models.CharField(choices=[('stage', 'Stage'), ('alias', 'Alias')], max_length=5)),
                ('target', models.CharField(max_length=255)),
                ('cause', models.CharField(choices=[('clock', 'Clock'), ('dataset_recalled', 'Dataset Recalled'), ('vulnerability', 'Vulnerability'), ('drift', 'Drift'), ('incident', 'Incident'), ('tier_changed', 'Tier Changed'), ('waiver_expired', 'Waiver Expired')], max_length=16)),
                ('detail', models.TextField(blank=True, default='')),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField()),
                ('escalate_to', models.CharField(blank=True, default='', max_length=150)),
                ('overdue_at', models.DateTimeField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, default='', max_length=200)),
                ('closed_by_request', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='workflows.promotionrequest')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='re_reviews', to='registry.registeredmodel')),
                ('opened_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='re_reviews', to='registry.modelversion')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['due_at'], name='re_review_due')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('version', 'target_kind', 'target', 'cause'), name='one_open_re_review')],
            },
        ),
        migrations.CreateModel(
            name='ReviewTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('policy', models.CharField(max_length=100)),
                ('step', models.CharField(max_length=100)),
                ('group', models.CharField(max_length=150)),
                ('factor', models.CharField(max_length=260)),
                ('missing', models.PositiveSmallIntegerField()),
                ('opened_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(blank=True, null=True)),
                ('escalate_to', models.CharField(blank=True, default='', max_length=150)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_at', models.DateTimeField(blank=True, null=True)),
                ('reminded_at', models.DateTimeField(blank=True, null=True)),
                ('escalated_at', models.DateTimeField(blank=True, null=True)),
                ('claimed_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='claimed_tasks', to=settings.AUTH_USER_MODEL)),
                ('request', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tasks', to='workflows.promotionrequest')),
                ('attend_at', models.DateTimeField(blank=True, null=True)),
                ('claim_ends_at', models.DateTimeField(blank=True, null=True)),
                ('not_for', models.TextField(blank=True, default='')),
                ('press_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['group', 'press_at', 'id'], name='task_of_group'), models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['press_at', 'id'], name='task_pressing'), models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['attend_at'], name='task_to_attend'), models.Index(condition=models.Q(('closed_at__isnull', True), ('escalated_at__isnull', False)), fields=['escalate_to', 'press_at', 'id'], name='task_escalated_to'), models.Index(condition=models.Q(('claimed_by__isnull', False), ('closed_at__isnull', True)), fields=['press_at', 'id'], name='task_claimed')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('request', 'policy', 'factor'), name='one_open_task_per_factor')],
            },
        ),
        migrations.CreateModel(
            name='Signature',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('printed_name', models.CharField(max_length=300)),
                ('meaning', models.CharField(max_length=200)),
                ('statement', models.TextField()),
                ('statement_digest', models.CharField(max_length=71)),
                ('signed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('review', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='signature', to='workflows.review')),
            ],
        ),
        migrations.AddField(
            model_name='review',
            name='delegation',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='workflows.delegation'),
        ),
        append_only("workflows_review", "workflows_requestpolicy", "workflows_signature"),
    ]
